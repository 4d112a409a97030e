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
from dataclasses import dataclass, field

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor, NotFiniteError
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw


@dataclass
class Copies:
    """The copies that a node has, for each neighbour with which it has exchanged models; a part of its state."""

    neighbours: list[int] = field(default_factory=list)
    mine: list[Vector] = field(default_factory=list)  # of this node's model, as each of them has it
    theirs: list[Vector] = field(default_factory=list)
    sent: int = 0  # messages

    def over(self, neighbour: int, start: Vector) -> tuple[Vector, Vector]:
        """Return the copies over the edge to a neighbour, of this node's model and of the neighbour's."""
        if neighbour not in self.neighbours:
            self.neighbours.append(neighbour)
            self.mine.append(start.copy())
            self.theirs.append(start.copy())
        place = self.neighbours.index(neighbour)
        return self.mine[place], self.theirs[place]


class EdgeCopies:
    """The exchange of a node's copies, by increments in a mailbox.

    Parameters
    ----------
    start
        Initial model of every node, shape (d,): the initial value of all copies.
    copies
        The node's copies; updated in place.
    """

    def __init__(self, node: Node, compressor: Compressor, start: Vector, copies: Copies) -> None:
        self._node = node
        self._compressor = compressor
        self._start = start.copy()
        self._box = node.mailbox()
        self._copies = copies
        self._room = np.empty(compressor.capacity(start.size), dtype=np.uint8)
        self._increment = np.empty(start.size)

    def exchange(self, w: Vector, neighbours: Sequence[int]) -> list[Vector]:
        """Return c_ij - c_ji, (d,), for each of `neighbours`, which exchange with this node now."""
        node, copies = self._node, self._copies
        edges = {i: copies.over(i, self._start) for i in neighbours}
        self._box.count_round()
        for i in neighbours:
            mine, _ = edges[i]
            copies.sent += 1
            key = node.key(Draw.EDGE_MESSAGE, i, copies.sent) if self._compressor.randomised else 0
            message = self._encode(w - mine, key)
            self._box.send(i, message)
            mine += self._decoded(message)
        missing = set(neighbours)
        while missing:
            self._box.wait()
            for i, message in self._box.take():  # all from `neighbours`, as no other node sends now
                missing.remove(i)
                _, theirs = edges[i]
                theirs += self._decoded(message)
        return [theirs - mine for mine, theirs in edges.values()]

    def _encode(self, v: Vector, key: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        try:
            return self._compressor.encode(v, key, self._room)
        except NotFiniteError:
            return self._compressor.encode(np.zeros_like(v), key, self._room)

    def _decoded(self, message: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Vector:
        return self._compressor.decode(message, self._increment)
