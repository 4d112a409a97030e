"""The mean of one sparse vector of each node over an all-gather, in time that depends on its nonzero numbers only.

A message is that of the dense vector, coded as a list by the compressor; without compression that of `nonzeros`. All
nodes add the messages in rank order.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Sparse, Vector
from hpcopt.compression import Compressor, Message, NotFiniteError
from hpcopt.compression.few_levels import FewLevels
from hpcopt.compression.identity import Identity
from hpcopt.compression.nonzeros import Nonzeros, pack_list, unpack_list
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.kernels import marks
from hpcopt.solvers.parts.exchange import NOTHING, Exchanged

Listing = FewLevels | Nonzeros
"""A compressor that codes lists."""

EMPTY: Sparse = np.zeros(0, dtype=np.int64), np.zeros(0)


def can_be_sparse(compressor: Compressor) -> bool:
    """Return whether sparse vectors can be sent as lists, in time independent of d."""
    return compressor.takes_lists if isinstance(compressor, FewLevels) else isinstance(compressor, Identity | Nonzeros)


class SparseExchange:
    """The exchange by an all-gather, without error feedback, of vectors of d numbers; `exchange.Exchange` if dense.

    Parameters
    ----------
    compressor
        One that `can_be_sparse`.
    s
        What the exchange keeps; updated in place.
    """

    def __init__(self, node: Node, compressor: Compressor, d: int, s: Exchanged) -> None:
        self._node = node
        self._compressor = compressor if isinstance(compressor, Listing) else None
        self._d = d
        self._s = s
        self._marks = marks.empty(d if node.size > 1 else 0)

    def mean(self, x: Sparse, weight: float, step: int) -> Sparse:
        """Return the mean; parameters as for `Exchange.mean`."""
        if self._node.size == 1 and self._compressor is None:
            self._node.world.allgather(NOTHING)  # a round, as everywhere
            return x[0], weight * x[1]
        message = self._message((x[0], self._node.size * weight * x[1]), step)
        messages = self._node.world.allgather(message)
        self._s.up += message.nbytes
        self._s.down += sum(received.nbytes for received in messages)
        places, total = self._sum([self._read(received) for received in messages])
        return places, total / self._node.size

    def _message(self, x: Sparse, step: int) -> Message:
        if self._compressor is None:
            return pack_list(x, self._d)
        key = self._node.key(Draw.MESSAGE, step)
        try:
            return self._compressor.encode_list(x, self._d, key)
        except NotFiniteError:  # a diverging run, see `compression.memory`
            return self._compressor.encode_list(EMPTY, self._d, key)

    def _read(self, message: Message) -> Sparse:
        if self._compressor is None:
            return unpack_list(message, self._d)
        return self._compressor.decode_list(message, self._d)

    def _sum(self, parts: list[Sparse]) -> Sparse:
        """Return the sum of sparse vectors, added in their order."""
        if len(parts) == 1:
            return parts[0]
        starts = np.cumsum([0, *(len(places) for places, _ in parts)])
        indices = np.concatenate([places for places, _ in parts]).astype(np.int32)
        values = np.concatenate([numbers for _, numbers in parts])
        places = np.empty(min(len(indices), self._d) + marks.SPARE, dtype=np.int64)
        which, within = np.arange(len(parts)), np.empty_like(indices)
        count = marks.restrict(values, indices, starts, which, self._marks, np.empty_like(values), within, places)
        total: Vector = np.bincount(within, values, count).astype(np.float64, copy=False)
        return places[:count], total
