"""Compressors that code sparse vectors as lists, in time that depends on their nonzero numbers only."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from hpcopt.arrays import Sparse
from hpcopt.compression import Compressor, Message, NotFiniteError
from hpcopt.compression.few_levels import FewLevels
from hpcopt.compression.identity import Identity
from hpcopt.compression.nonzeros import Nonzeros

Listing = FewLevels | Nonzeros
"""A compressor that codes lists."""

EMPTY: Sparse = np.zeros(0, dtype=np.int64), np.zeros(0)


def is_listing(compressor: Compressor) -> TypeGuard[Listing]:
    """Return whether a compressor codes lists."""
    return compressor.takes_lists if isinstance(compressor, FewLevels) else isinstance(compressor, Nonzeros)


def can_be_sparse(compressor: Compressor) -> bool:
    """Return whether sparse vectors can be sent in time independent of d, coded as lists or without compression."""
    return isinstance(compressor, Identity) or is_listing(compressor)


def encode_list(compressor: Listing, x: Sparse, d: int, key: int) -> Message:
    """Return the message of the vector of d numbers that is `x`; of zeros, if no message can hold it."""
    try:
        return compressor.encode_list(x, d, key)
    except NotFiniteError:  # a diverging run, see `compression.memory`
        return compressor.encode_list(EMPTY, d, key)
