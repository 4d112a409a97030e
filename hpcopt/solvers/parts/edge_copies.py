"""Compressed exchange with changing neighbours: for each edge, both ends keep copies of each other's model.

In gossip with public copies (CHOCO, DeLi-CoCo) all neighbours receive every message and keep the same copy of a node.
A node that averages with different neighbours each time cannot rely on this; so each edge has two copies, one of each
end's model, and both ends hold both:

    j sends q = C(w~_j - c_ji), and both ends add q to c_ji
    w_j = w~_j + gamma sum_i M_ij (c_ij - c_ji)

Over an edge, j gains what i loses, so the mean over the nodes is preserved. This is our extension; exact messages and
gamma = 1 give the plain average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor, NotFiniteError
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw


class EdgeCopies:
    """A node's copies, and its mailbox for their increments.

    Parameters
    ----------
    start
        Initial model of every node, shape (d,): the initial value of all copies.
    """

    def __init__(self, node: Node, compressor: Compressor, start: Vector) -> None:
        self._node = node
        self._compressor = compressor
        self._start = start.copy()
        self._box = node.mailbox()
        self._mine: dict[int, Vector] = {}  # neighbour -> its copy of this node's model
        self._theirs: dict[int, Vector] = {}
        self._room = np.empty(compressor.capacity(start.size), dtype=np.uint8)
        self._increment = np.empty(start.size)
        self._sent = 0

    def exchange(self, w: Vector, neighbours: Sequence[int]) -> list[Vector]:
        """Return c_ij - c_ji, (d,), for each of `neighbours`, which exchange with this node now."""
        node = self._node
        self._box.count_round()
        for i in neighbours:
            mine = self._mine.setdefault(i, self._start.copy())
            self._sent += 1
            key = node.key(Draw.EDGE_MESSAGE, i, self._sent) if self._compressor.randomised else 0
            message = self._encode(w - mine, key)
            self._box.send(i, message)
            mine += self._decoded(message)
        missing = set(neighbours)
        while missing:
            self._box.wait()
            for i, message in self._box.take():  # all from `neighbours`, as no other node sends now
                missing.remove(i)
                theirs = self._theirs.setdefault(i, self._start.copy())
                theirs += self._decoded(message)
        return [self._theirs[i] - self._mine[i] for i in neighbours]

    def _encode(self, v: Vector, key: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        try:
            return self._compressor.encode(v, key, self._room)
        except NotFiniteError:
            return self._compressor.encode(np.zeros_like(v), key, self._room)

    def _decoded(self, message: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Vector:
        return self._compressor.decode(message, self._increment)
