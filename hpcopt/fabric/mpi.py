"""The MPI cluster: one rank is one node, a group is a communicator; buffers on the hot path, never pickles.

Communicators are duplicated from the one passed in, so any sub-communicator works and the caller's own
messages are never in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from hpcopt.fabric.interface import Cluster, Group, Neighbourhood, Node, Vector
from hpcopt.fabric.launch import abort_on_error
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.mpi_neighbourhood import MPINeighbourhood
from hpcopt.fabric.solo import WallClockNode
from hpcopt.fabric.streams import stream
from hpcopt.topology.mixing import Mixing

T = TypeVar("T")
Array = NDArray[Any]


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
    """

    def __init__(self, comm: MPI.Intracomm, ledger: Ledger, *, ordered: bool = False) -> None:
        super().__init__(comm.rank, comm.size, ledger)
        self.comm = comm
        """The communicator itself, for benchmarks that measure beside it."""
        self._ordered = ordered

    def sum(self, x: Vector, out: Vector | None = None) -> Vector:
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
        out = np.empty_like(x)
        self.comm.Allreduce(x, out, op=MPI.MAX)
        self._book(x.nbytes, x.nbytes)
        return out

    def broadcast(self, x: Vector, root: int = 0) -> Vector:
        out = np.array(x, order="C")
        self.comm.Bcast(out, root=root)
        self._book(0, x.nbytes)
        return out

    def gather(self, x: Vector, root: int = 0) -> Vector | None:
        parts = np.empty((self.size, *x.shape), x.dtype) if self.rank == root else None
        self.comm.Gather(x, parts, root=root)
        self._book(x.nbytes, 0)
        return parts

    def allgather(self, x: Array) -> list[Array]:
        counts = np.empty(self.size, dtype=np.int64)
        self.comm.Allgather(np.array([len(x)], dtype=np.int64), counts)
        everything = np.empty(int(counts.sum()), dtype=x.dtype)
        self.comm.Allgatherv(np.ascontiguousarray(x), (everything, counts.tolist()))
        self._book(x.nbytes, everything.nbytes)
        return np.split(everything, np.cumsum(counts)[:-1])

    def alltoall(self, parts: Sequence[Array]) -> list[Array]:
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        incoming = np.empty_like(counts)
        self.comm.Alltoall(counts, incoming)
        received = np.empty(int(incoming.sum()), dtype=parts[0].dtype)
        self.comm.Alltoallv((np.concatenate(parts), counts.tolist()), (received, incoming.tolist()))
        size = sum(part.nbytes for place, part in enumerate(parts) if place != self.rank)
        self._ledger.current.book(self.link_class, self.size - 1, size)
        return np.split(received, np.cumsum(incoming)[:-1])

    def barrier(self) -> None:
        self.comm.Barrier()


class MPINode(WallClockNode):
    """The node that is a rank."""

    def __init__(self, comm: MPI.Intracomm, seed: int, mixing: Mixing | None, *, ordered: bool) -> None:
        self.mixing = mixing
        self._seed = seed
        self._comm = comm
        self._ordered = ordered
        self._groups: list[MPI.Intracomm] = []
        self._neighbourhoods: list[MPINeighbourhood] = []
        self.rank, self.size = comm.rank, comm.size
        self.ledger = Ledger()
        self.meter = Meter()
        self.rng = stream(seed, comm.rank)
        self.world = MPIGroup(comm, self.ledger, ordered=ordered)

    def group(self, ranks: Sequence[int]) -> Group:
        members = self._comm.group.Incl(list(ranks))
        self._groups.append(self._comm.Create_group(members))
        members.Free()
        return MPIGroup(self._groups[-1], self.ledger, ordered=self._ordered)

    def neighbourhood(self, sources: Sequence[int], targets: Sequence[int]) -> Neighbourhood:
        self._neighbourhoods.append(MPINeighbourhood(self._comm, sources, targets, self.ledger))
        return self._neighbourhoods[-1]

    def free(self) -> None:
        """Free the communicators of neighbourhoods and groups, the last made first."""
        while self._neighbourhoods:
            self._neighbourhoods.pop().free()
        while self._groups:
            self._groups.pop().Free()


class MPICluster(Cluster):
    """The ranks of a communicator.

    Parameters
    ----------
    comm
        Duplicated, never used itself; default the world.
    seed
        Keys the nodes' random streams.
    ordered
        Whether reductions add in rank order.
    """

    kind = "mpi"
    clock = "wall"

    def __init__(self, comm: MPI.Intracomm | None = None, *, seed: int = 0, ordered: bool = False) -> None:
        self._comm = (MPI.COMM_WORLD if comm is None else comm).Dup()
        self.size = self._comm.size
        self.processes = MPIGroup(self._comm, Ledger())
        self.local_nodes = range(self._comm.rank, self._comm.rank + 1)
        self._seed = seed
        self._ordered = ordered

    def run(self, program: Callable[[Node], T]) -> list[T]:
        node = MPINode(self._comm, self._seed, self.mixing, ordered=self._ordered)
        with abort_on_error():
            self._comm.Barrier()
            node.start()
            result = program(node)
        node.free()
        return [result]

    def leader_first(self, work: Callable[[], T]) -> T:
        host = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        with abort_on_error():
            if host.rank == 0:
                result = work()
            host.Barrier()
            if host.rank != 0:
                result = work()
        host.Free()
        return result

    def close(self) -> None:
        self._comm.Free()
