"""Texts that the processes of a run tell one another; their paths may hold bytes that are no UTF-8."""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Array
from hpcopt.fabric.interface import Group


def everyones(group: Group, text: str) -> list[str]:
    """Return the text of each process, by rank; collective."""
    return [_text(part) for part in group.allgather(_bytes(text))]


def the_firsts(group: Group, text: str) -> str:
    """Return the text of the first process; collective."""
    return _text(group.broadcast_varying(_bytes(text)))


def _bytes(text: str) -> Array:
    return np.frombuffer(text.encode(errors="surrogateescape"), dtype=np.uint8)


def _text(part: Array) -> str:
    return part.tobytes().decode(errors="surrogateescape")
