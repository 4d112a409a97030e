"""A model of which each node keeps and updates its own coordinates only: those of number i mod K on node i.

In a step a node asks the owners for the model at the coordinates of its batch, and sends them its gradient there:

    1  the coordinates, 4 bytes each, to their owners
    2  the model there, 8 bytes each, from the owners
    3  the gradient there, 8 bytes each, or coded by the compressor, to the owners

Each is an all-to-all. So neither the work of a step nor a node's messages grow with the number of nodes, and a node has
a K-th of the records, while over an all-gather every node receives all messages and updates the union of all batches.
It is the exchange of a parameter server (Li et al., Scaling distributed machine learning with the parameter server,
OSDI 2014) in rounds, with the workers as its servers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcopt.arrays import Array, Places, Sparse, Vector
from hpcopt.compression import Compressor
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.kernels import owners
from hpcopt.solvers.parts.exchange import Exchanged
from hpcopt.solvers.parts.lazy import LazyUpdates
from hpcopt.solvers.parts.listing import encode_list, is_listing
from hpcopt.solvers.parts.sparse_sum import SparseSum


def owned(rank: int, size: int) -> slice:
    """Return the coordinates of node `rank` of `size`."""
    return slice(rank, None, size)


class ShardedModel:
    """The model and its steps, without error feedback; every method is collective.

    Parameters
    ----------
    updates
        The updates of this node's coordinates.
    d
        The number of all coordinates, at least that of the nodes.
    compressor
        One that `can_be_sparse`.
    s
        What the exchange keeps; updated in place.
    """

    def __init__(self, node: Node, updates: LazyUpdates, d: int, compressor: Compressor, s: Exchanged) -> None:
        self._node = node
        self._updates = updates
        self._d = d
        self._compressor = compressor if is_listing(compressor) else None
        self._s = s
        self._sum = SparseSum(updates.size)

    def at(self, places: Places) -> Vector:
        """Return the model at the coordinates `places`, shape (m,): those of the next step's gradient."""
        size = self._node.size
        counts, own, where = (np.empty(n, np.int32) for n in (size, len(places), len(places)))
        owners.divide(places, size, counts, own, where)
        self._asked, self._where = np.split(own, np.cumsum(counts)[:-1]), where
        asked = self._to_all(self._asked)
        self._sum.over(asked)
        model = self._sum.spread(self._updates.at(self._sum.places))
        return np.concatenate(self._to_all(_cut(model, asked)))[where]

    def step(self, x: Sparse, weight: float, step: int) -> None:
        """Make a step with the mean of the nodes' gradients; parameters as for `Exchange.mean`."""
        size = self._node.size
        sent = np.empty_like(x[1])
        sent[self._where] = size * weight * x[1]
        values = self._to_all(self._coded(_cut(sent, self._asked), step))
        if self._compressor is not None:
            vectors = [self._compressor.decode_list(message, self._updates.size) for message in values]
            self._sum.over([places for places, _ in vectors])
            values = [numbers for _, numbers in vectors]
        self._updates.step((self._sum.places, self._sum.sum(values) / size))

    def whole(self) -> Vector:
        """Return the model, shape (d,)."""
        size, model = self._node.size, np.empty(self._d)
        own = self._updates.at(np.arange(self._updates.size))
        for rank, part in enumerate(self._node.world.allgather(own)):
            model[owned(rank, size)] = part
        return model

    def _coded(self, parts: list[Array], step: int) -> list[Array]:
        """Return the messages with the values `parts` at the coordinates that were asked for."""
        if self._compressor is None:
            return parts
        messages = []
        for rank, (places, values) in enumerate(zip(self._asked, parts, strict=True)):
            d = len(range(self._d)[owned(rank, self._node.size)])
            key = self._node.key(Draw.MESSAGE, step, rank)
            messages.append(encode_list(self._compressor, (places.astype(np.int64), values), d, key))
        return messages

    def _to_all(self, parts: list[Array]) -> list[Array]:
        """Send each node its part, and count what leaves this one; return what all have sent."""
        self._s.up += sum(part.nbytes for rank, part in enumerate(parts) if rank != self._node.rank)
        return self._node.world.alltoall(parts)


def _cut(x: Array, like: Sequence[Array]) -> list[Array]:
    """Return `x` cut into parts of the lengths of `like`."""
    return np.split(x, np.cumsum([len(part) for part in like])[:-1])
