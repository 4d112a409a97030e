"""Groups of MPI ranks: a communicator and its collectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from hpcopt.arrays import Array, Vector
from hpcopt.fabric.interface import Group
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.wall.progress import Progress


class MPIGroup(Group):
    """A communicator.

    Parameters
    ----------
    comm
        Used as it is: the caller duplicates and frees.
    ledger
        Where rounds and bytes are booked.
    ordered
        Add in rank order (gather, then sum): bit for bit what the virtual cluster computes, at K times the traffic.
    progress
        Of the node, who may have to answer others before they can come.
    """

    def __init__(
        self, comm: MPI.Intracomm, ledger: Ledger, *, ordered: bool = False, progress: Progress | None = None
    ) -> None:
        super().__init__(comm.rank, comm.size, ledger)
        self.comm = comm
        """The communicator itself, for benchmarks that measure beside it."""
        self._ordered = ordered
        self._progress = progress

    def _meet(self) -> None:
        if self._progress is not None:
            self._progress.meet_if_asked(self.comm)

    def _book(self, up: int, down: int, root: int = 0) -> None:  # noqa: ARG002  (where the tree's top is)
        super()._book(up, down)

    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
        self._meet()
        if out is None:
            out = np.empty_like(x)
        if self._ordered:
            np.add.reduce(self._parts(x), axis=0, out=out)
        else:
            self.comm.Allreduce(MPI.IN_PLACE if out is x else x, out)
        self._book(x.nbytes, x.nbytes)
        return out

    def _parts(self, x: Vector) -> Vector:
        parts = np.empty((self.size, *x.shape), x.dtype)
        self.comm.Allgather(x, parts)
        return parts

    def max(self, x: Vector) -> Vector:
        self._meet()
        out = np.empty_like(x)
        self.comm.Allreduce(x, out, op=MPI.MAX)
        self._book(x.nbytes, x.nbytes)
        return out

    def broadcast(self, x: Vector, root: int = 0) -> Vector:
        self._meet()
        out = np.array(x, order="C")
        self.comm.Bcast(out, root=root)
        self._book(0, x.nbytes, root)
        return out

    def gather(self, x: Vector, root: int = 0) -> Vector | None:
        self._meet()
        parts = np.empty((self.size, *x.shape), x.dtype) if self.rank == root else None
        self.comm.Gather(x, parts, root=root)
        self._book(x.nbytes, 0, root)
        return parts

    def allgather(self, x: Array) -> list[Array]:
        self._meet()
        counts = np.empty(self.size, dtype=np.int64)
        self.comm.Allgather(np.array([len(x)], dtype=np.int64), counts)
        everything = np.empty(int(counts.sum()), dtype=x.dtype)
        self.comm.Allgatherv(np.ascontiguousarray(x), (everything, counts.tolist()))
        self._book(x.nbytes, everything.nbytes)
        return np.split(everything, np.cumsum(counts)[:-1])

    def alltoall(self, parts: Sequence[Array]) -> list[Array]:
        self._meet()
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        incoming = np.empty_like(counts)
        self.comm.Alltoall(counts, incoming)
        received = np.empty(int(incoming.sum()), dtype=parts[0].dtype)
        self.comm.Alltoallv((np.concatenate(parts), counts.tolist()), (received, incoming.tolist()))
        size = sum(part.nbytes for place, part in enumerate(parts) if place != self.rank)
        self._ledger.current.book(self.link_class, self.size - 1, size)
        return np.split(received, np.cumsum(incoming)[:-1])

    def barrier(self) -> None:
        self._meet()
        self.comm.Barrier()
