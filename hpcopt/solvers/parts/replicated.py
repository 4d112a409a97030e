"""A model of which every node has a copy, and makes every step with the mean of all nodes' gradients.

One all-gather of sparse vectors, in time that depends on their nonzero numbers only. A message is that of the dense
vector, coded as a list by the compressor; without compression that of `nonzeros`. All nodes add the messages in rank
order.
"""

from __future__ import annotations

import numpy as np

from hpcopt.arrays import Places, Sparse, Vector
from hpcopt.compression import Compressor, Message
from hpcopt.compression.nonzeros import pack_list, unpack_list
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.solvers.parts.exchange import NOTHING, Exchanged
from hpcopt.solvers.parts.lazy import LazyUpdates
from hpcopt.solvers.parts.listing import encode_list, is_listing
from hpcopt.solvers.parts.sparse_sum import SparseSum


class ReplicatedModel:
    """The model and its steps, without error feedback.

    Parameters
    ----------
    updates
        The updates of all coordinates.
    compressor
        One that `can_be_sparse`.
    s
        What the exchange keeps; updated in place.
    """

    def __init__(self, node: Node, updates: LazyUpdates, compressor: Compressor, s: Exchanged) -> None:
        self._node = node
        self._updates = updates
        self._compressor = compressor if is_listing(compressor) else None
        self._s = s
        self._sum = SparseSum(updates.size if node.size > 1 else 0)

    def at(self, places: Places) -> Vector:
        """Return the model at the coordinates `places`, shape (m,)."""
        return self._updates.at(places)

    def step(self, x: Sparse, weight: float, step: int) -> None:
        """Make a step with the mean of the nodes' gradients; parameters as for `Exchange.mean`; collective."""
        self._updates.step(self._mean(x, weight, step))

    def whole(self) -> Vector:
        """Return the model, shape (d,)."""
        return self._updates.at(np.arange(self._updates.size))

    def _mean(self, x: Sparse, weight: float, step: int) -> Sparse:
        size, world = self._node.size, self._node.world
        if size == 1 and self._compressor is None:
            world.allgather(NOTHING)  # a round, as everywhere
            return x[0], weight * x[1]
        message = self._message((x[0], size * weight * x[1]), step)
        messages = world.allgather(message)
        self._s.up += message.nbytes
        self._s.down += messages.nbytes
        return messages.once("mean", lambda: self._mean_of([self._read(received) for received in messages]))

    def _mean_of(self, vectors: list[Sparse]) -> Sparse:
        if len(vectors) == 1:
            return vectors[0]
        self._sum.over([places for places, _ in vectors])
        return self._sum.places, self._sum.sum([values for _, values in vectors]) / len(vectors)

    def _message(self, x: Sparse, step: int) -> Message:
        if self._compressor is None:
            return pack_list(x, self._updates.size)
        return encode_list(self._compressor, x, self._updates.size, self._node.key(Draw.MESSAGE, step))

    def _read(self, message: Message) -> Sparse:
        if self._compressor is None:
            return unpack_list(message, self._updates.size)
        return self._compressor.decode_list(message, self._updates.size)
