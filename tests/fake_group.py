"""Several processes in one: a cluster whose processes are threads that meet at barriers.

Enough of the fabric to read and distribute data, so that "the same for any number of processes" is tested without MPI.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from hpcopt.fabric.gathered import Gathered
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.seam import Seam

T = TypeVar("T")


class _Meeting:
    """The data exchanged by the threads of a group."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._barrier = threading.Barrier(size, timeout=60)
        self._brought: list[Any] = [None] * size

    def exchange(self, rank: int, brings: Any) -> list[Any]:
        self._brought[rank] = brings
        self._barrier.wait()
        everything = list(self._brought)
        self._barrier.wait()
        return everything

    def leave(self) -> None:
        self._barrier.abort()


class FakeGroup(Group):
    """One thread's view of a group; checks what MPI does not: equal dtypes and 1-d arrays."""

    def __init__(self, rank: int, meeting: _Meeting) -> None:
        super().__init__(rank, range(meeting.size), Seam(Ledger()))
        self._meeting = meeting

    def _sum(self, x, out):
        total = np.sum(self._told(x), axis=0)
        if out is None:
            return total
        out[...] = total
        return out

    def _reduce(self, x, root):
        total = np.sum(self._told(x), axis=0)
        return total if self.rank == root else None

    def _max(self, x):
        return np.max(self._told(x), axis=0)

    def _broadcast(self, x, root):
        return self._told(x)[root]

    def _gather(self, x, root):
        told = np.array(self._told(x))
        return told if self.rank == root else None

    def _gather_varying(self, x, root):
        told = self._told(x)
        return told if self.rank == root else None

    def _broadcast_varying(self, x, root):
        return self._told(x)[root]

    def _allgather(self, x):
        assert x.ndim == 1
        return Gathered(self._told(x))

    def _alltoall(self, parts):
        assert len(parts) == self.size
        assert all(part.ndim == 1 for part in parts)
        told = self._meeting.exchange(self.rank, parts)
        dtypes = {part.dtype for sent in told for part in sent}
        assert len(dtypes) == 1
        return [sent[self.rank].copy() for sent in told]

    def _barrier(self):
        self._meeting.exchange(self.rank, None)

    def _told(self, x):
        told = self._meeting.exchange(self.rank, x.copy())
        assert len({each.dtype for each in told}) == 1
        return told


class FakeCluster(Cluster):
    """A cluster for loading data only: `size` nodes on the processes of a group, or all of them on one."""

    kind = "fake"
    clock = "wall"

    def __init__(self, group: Group, size: int, holders: Sequence[int] | None = None) -> None:
        assert group.size in (1, size)
        self.size = size
        self.processes = group
        self.local_nodes = range(size) if group.size == 1 else range(group.rank, group.rank + 1)
        if holders is not None:
            self.holders = holders

    def run(self, program, conditions=None):
        raise AssertionError(program, conditions, "a fake cluster runs nothing")

    def led(self, work):
        work()
        return True

    def close(self):
        pass


def on_processes(size: int, work: Callable[[Group], T]) -> list[T]:
    """Run `work(group)` in `size` threads; return their results, or raise the error of the first that failed itself."""
    meeting = _Meeting(size)
    results: list[Any] = [None] * size
    errors: list[BaseException | None] = [None] * size

    def process(rank: int) -> None:
        try:
            results[rank] = work(FakeGroup(rank, meeting))
        except BaseException as error:
            errors[rank] = error
            meeting.leave()

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [error for error in errors if error is not None]
    if failed:
        raise next((error for error in failed if not isinstance(error, threading.BrokenBarrierError)), failed[0])
    return results


def messages_on_processes(size: int, work: Callable[[Group], object]) -> list[str]:
    """Run `work(group)` in `size` threads, each of which must raise an InputError; return their messages."""
    from hpcopt.errors import InputError

    def told(group: Group) -> str:
        try:
            work(group)
        except InputError as error:
            return str(error)
        raise AssertionError("nothing was refused")

    return on_processes(size, told)
