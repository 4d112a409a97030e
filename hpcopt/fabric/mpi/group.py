"""Groups of MPI ranks: a communicator and its collectives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from hpcopt.arrays import Array, Vector
from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.group import Group
from hpcopt.fabric.launch import patiently
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.wall.progress import Progress


class MPIGroup(Group):
    """A communicator.

    Parameters
    ----------
    comm
        Used directly: the caller duplicates and frees it.
    members, seam, link_class
        See `Group`.
    ordered
        Add in rank order (gather, then sum): bitwise equal to the virtual cluster, at K times the traffic.
    progress
        The node's progress engine: the node may have to serve others before they can join the collective.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        members: Sequence[int],
        seam: Seam,
        link_class: str = "world",
        *,
        ordered: bool = False,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(comm.rank, members, seam, link_class)
        self.comm = comm
        """The communicator itself, for benchmarks that use MPI directly."""
        self._ordered = ordered
        self._progress = progress or Progress(comm.Iprobe)
        self._services = self._progress.services

    def pause(self) -> None:
        patiently(self.comm.Ibarrier())

    def _meet(self) -> None:
        """Wait for all members if some may need a service of this node, which a blocking MPI call would not give."""
        if self._services:
            self._progress.meet(self.comm)

    def _sum(self, x: Vector, out: Vector | None) -> Vector:
        if self._services:
            self._progress.meet(self.comm)
        if out is None:
            out = np.empty_like(x)
        if self._ordered:
            np.add.reduce(self._parts(x), axis=0, out=out)
        else:
            self.comm.Allreduce(MPI.IN_PLACE if out is x else x, out)
        return out

    def _parts(self, x: Vector) -> Vector:
        parts = np.empty((self.size, *x.shape), x.dtype)
        self.comm.Allgather(x, parts)
        return parts

    def _reduce(self, x: Vector, root: int) -> Vector | None:
        if self._ordered:
            parts = self._gather(x, root)
            return None if parts is None else np.add.reduce(parts, axis=0)
        self._meet()
        total = np.empty_like(x) if self.rank == root else None
        self.comm.Reduce(x, total, root=root)
        return total

    def _max(self, x: Vector) -> Vector:
        self._meet()
        out = np.empty_like(x)
        self.comm.Allreduce(x, out, op=MPI.MAX)
        return out

    def _broadcast(self, x: Vector, root: int) -> Vector:
        self._meet()
        out = np.array(x, order="C")
        self.comm.Bcast(out, root=root)
        return out

    def _gather(self, x: Vector, root: int) -> Vector | None:
        self._meet()
        parts = np.empty((self.size, *x.shape), x.dtype) if self.rank == root else None
        self.comm.Gather(x, parts, root=root)
        return parts

    def _gather_varying(self, x: Array, root: int) -> list[Array] | None:
        self._meet()
        counts = np.empty(self.size, dtype=np.int64) if self.rank == root else None
        self.comm.Gather(np.array([len(x)], dtype=np.int64), counts, root=root)
        if counts is None:
            self.comm.Gatherv(np.ascontiguousarray(x), None, root=root)
            return None
        everything = np.empty(int(counts.sum()), dtype=x.dtype)
        self.comm.Gatherv(np.ascontiguousarray(x), (everything, counts.tolist()), root=root)
        return np.split(everything, np.cumsum(counts)[:-1])

    def _broadcast_varying(self, x: Array, root: int) -> Array:
        self._meet()
        length = np.array([len(x)], dtype=np.int64)
        self.comm.Bcast(length, root=root)
        out = np.array(x) if self.rank == root else np.empty(int(length[0]), dtype=x.dtype)
        self.comm.Bcast(out, root=root)
        return out

    def _allgather(self, x: Array) -> Gathered:
        self._meet()
        counts = np.empty(self.size, dtype=np.int64)
        self.comm.Allgather(np.array([len(x)], dtype=np.int64), counts)
        everything = np.empty(int(counts.sum()), dtype=x.dtype)
        self.comm.Allgatherv(np.ascontiguousarray(x), (everything, counts.tolist()))
        return Gathered(np.split(everything, np.cumsum(counts)[:-1]))

    def _alltoall(self, parts: Sequence[Array]) -> list[Array]:
        self._meet()
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        incoming = np.empty_like(counts)
        self.comm.Alltoall(counts, incoming)
        received = np.empty(int(incoming.sum()), dtype=parts[0].dtype)
        self.comm.Alltoallv((np.concatenate(parts), counts.tolist()), (received, incoming.tolist()))
        return np.split(received, np.cumsum(incoming)[:-1])

    def _barrier(self) -> None:
        self._meet()
        self.comm.Barrier()
