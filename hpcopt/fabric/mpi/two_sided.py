"""Windows without one-sided operations: each operation is a message that its target executes when it polls or waits.

For libraries whose one-sided operations fail or make no progress while the target computes (see `self_test`). Every
protocol over windows runs here unchanged, including the board's compare-and-swap; so a token that carries the state, as
in Suzuki and Kasami's algorithm, is not needed.

A node that waits for an answer serves requests of others meanwhile, since otherwise two nodes that ask each other would
deadlock. Requests of one node to another are executed and answered in order, so no other matching is needed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from hpcopt.arrays import Words
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.wall.progress import Progress
from hpcopt.fabric.window import Eights, Op, Window

REQUEST, ANSWER = 0, 1  # tags
HEADER = 6  # words of a request before its data: operation, window, offset, words, two operands
NOTHING = np.empty(0, dtype=np.int64)


class Do(IntEnum):
    """The requested operation."""

    PUT = 0
    GET = 1
    ADD_INTEGERS = 2
    ADD_FLOATS = 3
    SUM = 4
    REPLACE = 5
    NO_OP = 6
    SWAP = 7


ATOMICS = {"sum": Do.SUM, "replace": Do.REPLACE, "no-op": Do.NO_OP}


def carry_out(part: Words, do: int, at: int, count: int, operands: Words, data: Words) -> Words:
    """Execute the operation on `part` and return the answer."""
    if do == Do.GET:
        return part[at : at + count]
    there = part[at : at + len(data)]
    if do == Do.PUT:
        there[:] = data
    elif do == Do.ADD_INTEGERS:
        there += data
    elif do == Do.ADD_FLOATS:
        there.view(np.float64)[:] += data.view(np.float64)
    else:
        before = part[at : at + 1].copy()
        if do == Do.SUM:
            part[at] += operands[0]
        elif do == Do.REPLACE or (do == Do.SWAP and before[0] == operands[1]):
            part[at] = operands[0]
        return before
    return NOTHING


class Requests:
    """One rank's requests to others and from them, for all its two-sided windows; `comm` is duplicated."""

    def __init__(self, comm: MPI.Intracomm, progress: Progress) -> None:
        self.progress = progress
        self._comm = comm.Dup()
        self._parts: list[Words] = []  # of this rank, in the order of the windows
        self._awaited: defaultdict[int, deque[Words]] = defaultdict(deque)  # target -> buffers for its answers
        self._sent: list[tuple[MPI.Request, Words]] = []
        self._status = MPI.Status()
        progress.add(self._serve)

    def enter(self, part: Words) -> int:
        """Register this rank's part of a window; return its number. Requests may come once all ranks have done so."""
        self._parts.append(part)
        self.progress.meet(self._comm)
        return len(self._parts) - 1

    def ask(self, target: int, header: tuple[int, ...], data: Words, answer: Words) -> None:
        """Request an operation; its result is written to `answer`."""
        message = np.concatenate((header, data))
        self._send(message, target, REQUEST)
        self._awaited[target].append(answer)

    def wait(self, target: int) -> None:
        """Wait until the target has answered all requests."""
        awaited = self._awaited[target]
        if awaited:
            self.progress.wait(lambda: not awaited)

    def _send(self, message: Words, target: int, tag: int) -> None:
        self._sent.append((self._comm.Isend(message, target, tag), message))

    def _serve(self) -> None:
        status = self._status
        while (message := self._comm.Improbe(status=status)) is not None:
            source = status.source
            if status.tag == ANSWER:
                # removed only on arrival, since `wait` checks this list
                message.Recv(self._awaited[source][0])
                self._awaited[source].popleft()
                continue
            request = np.empty(status.Get_count(MPI.INT64_T), dtype=np.int64)
            message.Recv(request)
            do, window, at, count = (int(word) for word in request[:4])
            answer = carry_out(self._parts[window], do, at, count, request[4:HEADER], request[HEADER:])
            self._send(answer.copy(), source, ANSWER)
        if self._sent:
            self._sent = [sent for sent in self._sent if not sent[0].Test()]

    def finish(self) -> None:
        """Wait until all requests of this rank have been answered."""
        self.progress.wait(lambda: not any(self._awaited.values()))

    def free(self) -> None:
        """Free the communicator after all ranks have called `finish`."""
        MPI.Request.Waitall([request for request, _ in self._sent])
        self._comm.Free()


class TwoSidedWindow(Window):
    """A rank's side of the window."""

    def __init__(
        self, requests: Requests, words: int, rank: int, seam: Seam, link_class: str, *, by_edge: bool
    ) -> None:
        super().__init__(words, seam, rank, link_class, by_edge=by_edge)
        self.local = np.zeros(words, dtype=np.int64)
        self._requests = requests
        self._number = requests.enter(self.local)

    def _do(self, do: Do, target: int, at: int, data: Words, answer: Words, operands: tuple[int, int] = (0, 0)) -> None:
        if target == self.rank:
            answer[:] = carry_out(self.local, do, at, len(answer), np.array(operands), data)
            return
        self._requests.ask(target, (do, self._number, at, len(answer), *operands), data, answer)

    def _put(self, x: Eights, target: int, at: int) -> None:
        self._do(Do.PUT, target, at, x.view(np.int64), NOTHING)

    def _get(self, target: int, at: int, out: Eights) -> None:
        self._do(Do.GET, target, at, NOTHING, out.view(np.int64))

    def _accumulate(self, x: Eights, target: int, at: int) -> None:
        do = Do.ADD_FLOATS if x.dtype == np.float64 else Do.ADD_INTEGERS
        self._do(do, target, at, x.view(np.int64), NOTHING)

    def _fetch_and_op(self, value: int, target: int, at: int, op: Op) -> int:
        return self._atomic(ATOMICS[op], target, at, (value, 0))

    def _compare_and_swap(self, expected: int, desired: int, target: int, at: int) -> int:
        return self._atomic(Do.SWAP, target, at, (desired, expected))

    def _atomic(self, do: Do, target: int, at: int, operands: tuple[int, int]) -> int:
        before = np.empty(1, dtype=np.int64)  # a new array, as another operation may start in a poll
        self._do(do, target, at, NOTHING, before, operands)
        self._flush(target)
        return int(before[0])

    def _flush(self, target: int) -> None:
        self._requests.wait(target)

    def sync(self) -> None:
        pass  # others access this part only through its owner

    def _wait(self, at: int, until: Callable[[int], bool], seconds: float) -> int:
        self._requests.progress.wait(lambda: until(int(self.local[at])), seconds)
        return int(self.local[at])
