"""Groups: nodes that communicate collectively, like the ranks of a communicator."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import final

import numpy as np

from hpcopt.arrays import Array, Vector
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.seam import Kind, Operation, Seam

_ONE = np.zeros(1)


class Group(abc.ABC):
    """Nodes that communicate collectively: a communicator.

    Every operation is collective: all members call it, in the same order, with arrays of the same shape unless stated
    otherwise. Arguments are not modified; results are new arrays (or `out`).

    One call is one *round*. Its cost follows a tree: in a reduction over K members, each of the K - 1 members other
    than the root sends the message up the tree and receives the result (in a broadcast, it only receives; in `reduce`,
    it only sends). So a sum of m bytes books 2 (K - 1) messages and 2 (K - 1) m bytes over all members, whatever
    algorithm the MPI library uses.

    Parameters
    ----------
    rank
        This node's rank within the group.
    members
        Global ranks of the members, in the group's order.
    seam
        Where operations are observed.
    link_class
        The class of the links between the members, as the ledger names it.
    """

    def __init__(self, rank: int, members: Sequence[int], seam: Seam, link_class: str = "world") -> None:
        self.rank = rank
        """This node's rank within the group, 0 <= rank < size."""
        self.size = len(members)
        """Number of members."""
        self._seam = seam
        self._op = Operation(self, link_class, members)
        self._op.rounds = 1

    def _begin(self, kind: Kind, up: int, down: int, root: int = 0) -> Operation:
        """Begin a round of `up` bytes to the root of the tree and `down` bytes from it; 0 = no message that way."""
        op = self._op
        self._charge(op, up, down, root)
        if not self._seam.quiet:
            op.kind = kind
            op.peer = root
            for begin in self._seam.begins:
                begin(op)
        return op

    def _charge(self, op: Operation, up: int, down: int, root: int = 0) -> None:
        op.sent = up
        op.received = down
        if self.rank == root:  # the root of the tree has no parent
            op.messages = op.bytes = 0
        else:
            op.messages = (up > 0) + (down > 0)
            op.bytes = up + down

    def scout(self, op: Operation) -> None:
        """Wait for the members that `op` will wait for, by a small message that is not observed."""
        if op.kind in {"broadcast", "broadcast_varying"}:
            self._broadcast(_ONE, op.peer)
        elif op.kind in {"gather", "gather_varying"}:
            self._gather(_ONE, op.peer)
        elif op.kind == "reduce":
            self._reduce(_ONE, op.peer)
        else:
            self._barrier()

    def compare(self, own: bytes) -> dict[int, bytes]:
        """Return the rank and the text of every member, by a collective that is not observed."""
        return dict(zip(self._op.peers, map(bytes, self._allgather(np.frombuffer(own, np.uint8))), strict=True))

    @final
    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        """Return the sum of every member's `x`, shape of `x`, on all members. `out` may be `x` itself."""
        op = self._begin("sum", x.nbytes, x.nbytes)
        total = self._sum(x, out)
        for end in self._seam.ends:
            end(op, total)
        return total

    @abc.abstractmethod
    def _sum(self, x: Vector, out: Vector | None) -> Vector: ...

    @final
    def reduce(self, x: Vector, root: int = 0) -> Vector | None:
        """Return the sum of every member's `x` on the root, None on the others, which do not wait for it.

        Messages only go up the tree: K - 1 in all, half as many as in `sum`.
        """
        op = self._begin("reduce", x.nbytes, 0, root)
        total = self._reduce(x, root)
        for end in self._seam.ends:
            end(op, total)
        return total

    @abc.abstractmethod
    def _reduce(self, x: Vector, root: int) -> Vector | None: ...

    @final
    def max(self, x: Vector) -> Vector:
        """Return the element-wise maximum of every member's `x` on all members."""
        op = self._begin("max", x.nbytes, x.nbytes)
        largest = self._max(x)
        for end in self._seam.ends:
            end(op, largest)
        return largest

    @abc.abstractmethod
    def _max(self, x: Vector) -> Vector: ...

    @final
    def broadcast(self, x: Vector, root: int = 0) -> Vector:
        """Return the root's `x` on all members (the others' `x` gives shape and dtype)."""
        op = self._begin("broadcast", 0, x.nbytes, root)
        received = self._broadcast(x, root)
        for end in self._seam.ends:
            end(op, received)
        return received

    @abc.abstractmethod
    def _broadcast(self, x: Vector, root: int) -> Vector: ...

    @final
    def gather(self, x: Vector, root: int = 0) -> Vector | None:
        """Return (size, *shape) with every member's `x` on the root, None on the others."""
        op = self._begin("gather", x.nbytes, 0, root)
        parts = self._gather(x, root)
        for end in self._seam.ends:
            end(op, parts)
        return parts

    @abc.abstractmethod
    def _gather(self, x: Vector, root: int) -> Vector | None: ...

    @final
    def gather_varying(self, x: Array, root: int = 0) -> list[Array] | None:
        """Return every member's 1-d `x`, in rank order, on the root, None on the others.

        Lengths may differ; the dtype must be the same.
        """
        op = self._begin("gather_varying", x.nbytes, 0, root)
        parts = self._gather_varying(x, root)
        for end in self._seam.ends:
            end(op, parts)
        return parts

    @abc.abstractmethod
    def _gather_varying(self, x: Array, root: int) -> list[Array] | None: ...

    @final
    def broadcast_varying(self, x: Array, root: int = 0) -> Array:
        """Return the root's 1-d `x` on all members; the others' `x` gives the dtype, and its length has no meaning."""
        op = self._begin("broadcast_varying", 0, x.nbytes, root)
        received = self._broadcast_varying(x, root)
        self._charge(op, 0, received.nbytes, root)
        for end in self._seam.ends:
            end(op, received)
        return received

    @abc.abstractmethod
    def _broadcast_varying(self, x: Array, root: int) -> Array: ...

    @final
    def allgather(self, x: Array) -> Gathered:
        """Return every member's 1-d `x`, in rank order, on all members; read-only.

        Lengths may differ; the dtype must be the same.
        """
        op = self._begin("allgather", x.nbytes, 0)
        parts = self._allgather(x)
        self._charge(op, x.nbytes, parts.nbytes)
        for end in self._seam.ends:
            end(op, parts)
        if op.instead is not None:
            parts, op.instead = op.instead, None
        return parts

    @abc.abstractmethod
    def _allgather(self, x: Array) -> Gathered: ...

    @final
    def alltoall(self, parts: Sequence[Array]) -> list[Array]:
        """Send the 1-d `parts[r]` to member r; return what each member sent. Lengths may differ, dtypes may not."""
        sent = sum([part.nbytes for place, part in enumerate(parts) if place != self.rank])
        op = self._begin("alltoall", sent, 0)
        op.messages = self.size - 1
        op.bytes = sent
        received = self._alltoall(parts)
        for end in self._seam.ends:
            end(op, received)
        return received

    @abc.abstractmethod
    def _alltoall(self, parts: Sequence[Array]) -> list[Array]: ...

    @final
    def count_rounds(self, rounds: int) -> None:
        """Count rounds of other groups that this node waits for without taking part, as under hubs that meet."""
        self._op.rounds = rounds
        op = self._begin("round", 0, 0)
        for end in self._seam.ends:
            end(op, None)
        op.rounds = 1

    @final
    def barrier(self) -> None:
        """Wait until every member has arrived. Not a round: it carries no data."""
        if self._seam.quiet:
            self._barrier()
            return
        self._op.rounds = 0
        op = self._begin("barrier", 0, 0)
        self._barrier()
        for end in self._seam.ends:
            end(op, None)
        op.rounds = 1

    @abc.abstractmethod
    def _barrier(self) -> None: ...

    def pause(self) -> None:  # noqa: B027
        """Wait until every member has arrived, leaving the core to those that work; neither a round nor observed.

        For waits between the parts of a run, in which one member may write files for seconds. Where waiting is not
        busy, there is nothing to do.
        """

    @final
    def mean(self, x: Vector, weight: float | None = None, out: Vector | None = None) -> Vector:
        """Return the weighted mean of every member's `x` on all members.

        Parameters
        ----------
        x
            This member's vector; not modified (unless it is also `out`).
        weight
            This member's weight; the weights of all members sum to one. Default 1/size.
        out
            Receives the result; float64 of the shape of `x`.
        """
        scaled = np.multiply(x, 1.0 / self.size if weight is None else weight, out=out)
        return self.sum(scaled, out=scaled)
