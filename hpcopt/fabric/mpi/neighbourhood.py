"""Neighbourhoods of MPI ranks: a distributed-graph communicator and its neighbourhood collectives.

Messages of one size go through a persistent collective with its own buffers, created at the first such message.
Messages of varying sizes are preceded by their lengths, which are sent that way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from hpcopt.arrays import Bytes
from hpcopt.fabric.neighbourhood import Neighbourhood
from hpcopt.fabric.seam import Operation, Seam

ALIGNMENT = 64  # bytes: received messages start on cache lines, so that kernels can read them as words


class MPINeighbourhood(Neighbourhood):
    """A rank's links; creating and freeing are collective over `comm`, the communicator of the ranks `among`."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        among: Sequence[int],
        sources: Sequence[int],
        targets: Sequence[int],
        seam: Seam,
        link_class: str,
    ) -> None:
        super().__init__(sources, targets, seam, link_class)
        self.comm = comm.Create_dist_graph_adjacent(
            [among.index(source) for source in self.sources], [among.index(target) for target in self.targets]
        )
        """The communicator itself, for benchmarks that use MPI directly."""
        self._channels: dict[int, _Channel] = {}
        self._scouts: _Channel | None = None  # with separate buffers

    def _channel(self, size: int) -> _Channel:
        if size not in self._channels:
            self._channels[size] = _Channel(self.comm, size, len(self.sources))
        return self._channels[size]

    def outbox(self, size: int) -> Bytes:
        return self._channel(size).outbox

    def scout(self, op: Operation) -> None:  # noqa: ARG002
        if self._scouts is None:
            self._scouts = _Channel(self.comm, 1, len(self.sources))
        self._scouts.exchange(self._scouts.outbox)

    def _exchange(self, message: Bytes) -> list[Bytes]:
        return self._channel(message.nbytes).exchange(message)

    def _exchange_varying(self, message: Bytes) -> list[Bytes]:
        sizes = self._exchange(np.array([message.nbytes], dtype=np.int64).view(np.uint8))
        inbox, counts, starts = _inbox([int(size.view(np.int64)[0]) for size in sizes])
        self.comm.Neighbor_allgatherv(message, [inbox, counts, starts, MPI.BYTE])
        return _split(inbox, counts, starts)

    def free(self) -> None:
        """Free the collectives and the communicator."""
        for channel in self._channels.values():
            channel.free()
        if self._scouts is not None:
            self._scouts.free()
        self.comm.Free()


class _Channel:
    """The persistent collective for messages of one size, with its buffers."""

    def __init__(self, comm: MPI.Distgraphcomm, size: int, sources: int) -> None:
        self.outbox = np.empty(size, dtype=np.uint8)
        inbox, counts, starts = _inbox([size] * sources)
        self._received = _split(inbox, counts, starts)
        self._request = comm.Neighbor_allgatherv_init(self.outbox, [inbox, counts, starts, MPI.BYTE])

    def exchange(self, message: Bytes) -> list[Bytes]:
        if message is not self.outbox:
            self.outbox[:] = message
        self._request.Start()
        self._request.Wait()
        return self._received

    def free(self) -> None:
        self._request.Free()


def _inbox(sizes: list[int]) -> tuple[Bytes, list[int], list[int]]:
    """Return a buffer for messages of these sizes, their lengths, and their offsets."""
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + -(-size // ALIGNMENT) * ALIGNMENT)
    raw = np.empty(starts[-1] + ALIGNMENT, dtype=np.uint8)
    first = -raw.ctypes.data % ALIGNMENT
    return raw[first : first + starts[-1]], sizes, starts[:-1]


def _split(inbox: Bytes, counts: list[int], starts: list[int]) -> list[Bytes]:
    return [inbox[start : start + count] for count, start in zip(counts, starts, strict=True)]
