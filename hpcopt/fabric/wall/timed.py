"""Groups and neighbourhoods of a node whose timeline is kept on the wall clock.

How long a collective of MPI takes does not tell how much of that was waiting for those who had not come yet. So each is
preceded by a message of one byte or number to the same nodes, sent by the same kind of operation: when that has ended
all whom the node would wait for are there. Its time is the waiting, that of the operation itself the exchange. What the
node computes, sends and books is the same; a recorded run is slower by these small messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Vector
from hpcopt.fabric.interface import Group, Neighbourhood

if TYPE_CHECKING:
    from hpcopt.fabric.wall.node import WallClockNode

_ONE = np.zeros(1)
_BYTE = np.zeros(1, dtype=np.uint8)


@contextmanager
def _timed(node: WallClockNode, meet: Callable[[], object]) -> Iterator[None]:
    """Record what is inside as an exchange, and `meet`, called before it, as waiting; nothing while measured."""
    timeline = node.timeline
    if timeline is None:
        yield
        return
    came = node.now()
    meet()
    met = node.now()
    yield
    timeline.meet(came, met, node.now())


class TimedGroup(Group):
    """A group that records its operations.

    Parameters
    ----------
    group
        Does them.
    scout
        The same members, with a ledger that nobody reads: sends the small messages.
    """

    def __init__(self, group: Group, scout: Group, node: WallClockNode) -> None:
        super().__init__(group.rank, group.size, node.ledger)
        self.link_class = group.link_class
        self._group = group
        self._scout = scout
        self._node = node

    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        with _timed(self._node, self._scout.barrier):
            return self._group.sum(x, out)

    def max(self, x: Vector) -> Vector:
        with _timed(self._node, self._scout.barrier):
            return self._group.max(x)

    def broadcast(self, x: Vector, root: int = 0) -> Vector:
        with _timed(self._node, lambda: self._scout.broadcast(_ONE, root)):
            return self._group.broadcast(x, root)

    def gather(self, x: Vector, root: int = 0) -> Vector | None:
        with _timed(self._node, lambda: self._scout.gather(_ONE, root)):
            return self._group.gather(x, root)

    def allgather(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        with _timed(self._node, self._scout.barrier):
            return self._group.allgather(x)

    def alltoall(self, parts: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        with _timed(self._node, self._scout.barrier):
            return self._group.alltoall(parts)

    def barrier(self) -> None:
        with _timed(self._node, self._group.barrier):
            pass


class TimedNeighbourhood(Neighbourhood):
    """A neighbourhood that records its exchanges; `scout` has the same links, as in `TimedGroup`."""

    def __init__(self, neighbourhood: Neighbourhood, scout: Neighbourhood, node: WallClockNode) -> None:
        super().__init__(neighbourhood.sources, neighbourhood.targets, node.ledger)
        self.link_class = neighbourhood.link_class
        self._neighbourhood = neighbourhood
        self._scout = scout
        self._node = node

    def outbox(self, size: int) -> Bytes:
        return self._neighbourhood.outbox(size)

    def exchange(self, message: Bytes) -> list[Bytes]:
        with _timed(self._node, self._meet):
            return self._neighbourhood.exchange(message)

    def exchange_varying(self, message: Bytes) -> list[Bytes]:
        with _timed(self._node, self._meet):
            return self._neighbourhood.exchange_varying(message)

    def _meet(self) -> None:
        self._scout.exchange(_BYTE)
