"""What one process makes for all, such as graphs, so that the others need not import what that takes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Group

T = TypeVar("T")


def made_once(group: Group, make: Callable[[], T]) -> T:
    """Return on every process what `make` returns on the first one, sent as a pickle; collective.

    Raises
    ------
    AgreedError
        On every process, for an `InputError` of `make`.
    """
    packed = b""
    with agreed(group, one_tells=True):
        if group.rank == 0:
            packed = pickle.dumps(make())
    received: T = pickle.loads(group.allgather(np.frombuffer(packed, dtype=np.uint8))[0].tobytes())
    return received
