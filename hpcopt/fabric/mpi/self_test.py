"""The test before the first window: whether one-sided MPI works between these ranks, even while a target computes.

One-sided operations are the least tested part of every MPI library, and their progress depends on the network. So
before the first window of a run each rank tries them with its right neighbour, and then all ranks together: first
whether values are right, then whether an operation completes while the target computes and only polls MPI. Operations
that may hang are started as requests and abandoned after a time-out, so that a lack of progress is detected instead of
blocking. The result is the same on all ranks.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from hpcopt.errors import AgreedError
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.mpi.shared_memory import lacking
from hpcopt.fabric.mpi.window import MPIWindow
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.window import Windows

PATIENCE = 5.0  # seconds until an operation counts as hanging
SILENCE = 0.01  # seconds that a target computes without calling MPI
CHUNK = 0.001  # seconds between its polls after that
TRIES = 3
STEPS = 50  # increments of each rank on a shared counter
WORDS = 1000  # of a get: more than fits into a request message

_GIVEN_UP: list[MPI.Request] = []  # kept, as they may still complete and write to their buffers

VALUES, STILL, SEPARATE = "give wrong values", "make no progress while their target computes", "have no unified memory"


@dataclass(frozen=True)
class Finding:
    """The result of the test.

    Attributes
    ----------
    fault
        The fault of one-sided operations, None if there is none.
    at_once
        Whether they complete while their target makes no MPI call at all.
    """

    fault: str | None
    at_once: bool


@dataclass(frozen=True)
class Engine:
    """How the windows of a run are implemented, and a description in one line."""

    one_sided: bool
    words: str


def choose(comm: MPI.Intracomm, asked: Windows) -> Engine:
    """Return the requested engine, or the better of those that work; collective.

    Raises
    ------
    AgreedError
        If one-sided operations are required and don't work.
    """
    if asked == "two-sided":
        return Engine(one_sided=False, words="windows: two-sided, as requested")
    lack = lacking(comm, WORDS + 2)
    if lack is not None:
        return without_room(lack, asked)
    finding = try_windows(comm)
    if finding.fault is None:
        moves = "asynchronous" if finding.at_once else "progress when the target calls MPI"
        return Engine(one_sided=True, words=f"windows: one-sided ({moves})")
    fault = f"this MPI's one-sided operations {finding.fault} here"
    if asked == "one-sided":
        raise AgreedError(f'cluster.windows: "one-sided", but {fault}; "auto" and "two-sided" do without them')
    return Engine(one_sided=False, words=f"windows: two-sided: {fault}")


def without_room(lack: str, asked: Windows) -> Engine:
    """Return the engine that needs no shared memory; `lack` says why there is too little.

    Raises
    ------
    AgreedError
        If one-sided operations are required.
    """
    if asked == "one-sided":
        raise AgreedError(f'cluster.windows: "one-sided", but {lack}; "auto" and "two-sided" do without')
    return Engine(one_sided=False, words=f"windows: two-sided: {lack}")


def try_windows(comm: MPI.Intracomm) -> Finding:
    """Test a scratch window; collective."""
    window = MPIWindow(comm, WORDS + 2, Seam(Ledger()), Progress(comm.Iprobe), "test", by_edge=False)
    finding = _tried(window, comm)
    if finding.fault != STILL:  # otherwise freeing it may hang as well
        window.free()
    return finding


def _tried(window: MPIWindow, comm: MPI.Intracomm) -> Finding:
    if not _all(comm, window.win.model == MPI.WIN_UNIFIED):
        return Finding(SEPARATE, at_once=False)
    if not _all(comm, _ends(window.win.Rget(np.empty(WORDS), _right(comm)))):
        return Finding(STILL, at_once=False)
    if not _all(comm, _vectors(window, _right(comm), comm.rank) and _words(window, _right(comm))):
        return Finding(VALUES, at_once=False)
    if not _all(comm, _together(window, comm)):
        return Finding(VALUES, at_once=False)
    slowest = min(_moves(window, comm) for _ in range(TRIES)) if comm.size > 1 else 0.0
    if not _all(comm, slowest < PATIENCE):
        return Finding(STILL, at_once=False)
    return Finding(None, at_once=_all(comm, slowest < SILENCE))


def _right(comm: MPI.Intracomm) -> int:
    return (comm.rank + 1) % comm.size


def _all(comm: MPI.Intracomm, holds: bool) -> bool:
    mine, told = np.array([holds], dtype=np.int64), np.empty(1, dtype=np.int64)
    comm.Allreduce(mine, told, MPI.MIN)
    return bool(told[0])


def _ends(request: MPI.Request) -> bool:
    """Wait for a request, with a time-out; return whether it completed."""
    last = time.perf_counter() + PATIENCE
    while not request.Test():
        if time.perf_counter() > last:
            _GIVEN_UP.append(request)
            return False
        os.sched_yield()
    return True


def _vectors(window: MPIWindow, target: int, rank: int) -> bool:
    """Put, add and get; return whether the values are right."""
    x, back = np.arange(WORDS - 1) + rank / 7, np.empty(WORDS - 1)
    window.put(x, target, 1)
    window.flush(target)
    window.accumulate(x, target, 1)
    window.flush(target)
    window.get(target, 1, back)
    window.flush(target)
    return np.array_equal(back, 2 * x)


def _words(window: MPIWindow, target: int) -> bool:
    """Try the atomic operations; return whether the values are right."""
    found = [
        window.fetch_and_op(5, target, 0),
        window.fetch_and_op(-7, target, 0, "replace"),
        window.fetch_and_op(9, target, 0, "no-op"),
        window.compare_and_swap(5, 1, target, 0),
        window.compare_and_swap(-7, 2, target, 0),
        window.fetch_and_op(0, target, 0, "no-op"),
    ]
    return found == [0, 5, -7, -7, -7, 2]


def _together(window: MPIWindow, comm: MPI.Intracomm) -> bool:
    """Let all ranks, including rank 0, increment the same two words of rank 0; return whether no increment is lost.

    Increments are lost if atomics of the network card and of the processor are not atomic with respect to each other.
    """
    comm.Barrier()
    seen = 0
    for _ in range(STEPS):
        window.fetch_and_op(1, 0, WORDS)
        while (found := window.compare_and_swap(seen, seen + 1, 0, WORDS + 1)) != seen:
            seen = found
    comm.Barrier()
    return [window.fetch_and_op(0, 0, word, "no-op") for word in (WORDS, WORDS + 1)] == [STEPS * comm.size] * 2


def _moves(window: MPIWindow, comm: MPI.Intracomm) -> float:
    """Let odd ranks compute while their left neighbours read from them, then even ranks; return the reading seconds."""
    took = 0.0
    for turn in (0, 1):
        comm.Barrier()
        if comm.rank % 2 == turn:
            begun = time.perf_counter()
            _read(window, _right(comm))
            took = time.perf_counter() - begun
            if _right(comm) % 2 != turn:  # with an odd number of ranks, the neighbour may read in the same turn
                comm.Send(np.zeros(1), _right(comm))
        else:
            _compute(SILENCE)
            left = (comm.rank - 1) % comm.size
            if left % 2 == turn:
                while not comm.Iprobe(left):
                    _compute(CHUNK)
                comm.Recv(np.empty(1), left)
    return took


def _read(window: MPIWindow, target: int) -> None:
    """Read a vector and a word, with a time-out."""
    word, before = np.zeros(1, dtype=np.int64), np.empty(1, dtype=np.int64)
    if _ends(window.win.Rget(np.empty(WORDS), target)):
        _ends(window.win.Rget_accumulate(word, before, target, op=MPI.NO_OP))


def _compute(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
