"""Mailboxes of MPI ranks: ordinary messages, received whenever the target polls.

No node waits for its partner: copies are sent, and messages are received in polls, so senders' buffers are freed even
while the receiver computes. A sender waits only if very many of its messages are in flight. Delayed messages are queued
here, and their sender continues.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque

import numpy as np
from mpi4py import MPI

from hpcopt.arrays import Bytes
from hpcopt.fabric.mailbox import Mailbox, Messages
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.wall.progress import Progress

MOST = 256  # messages of one rank that may be in flight


class MPIMailbox(Mailbox):
    """A rank's mailbox. `comm` is duplicated; creating and freeing are collective over it."""

    def __init__(self, comm: MPI.Intracomm, seam: Seam, progress: Progress) -> None:
        super().__init__(seam)
        self._comm = comm.Dup()
        self._progress = progress
        self._sent = np.zeros(comm.size, dtype=np.int64)  # numbers of messages to each rank, and from each
        self._received = np.zeros(comm.size, dtype=np.int64)
        self._late: deque[tuple[float, int, Bytes]] = deque()  # (time of leaving, target, message)
        self._outgoing: list[tuple[MPI.Request, Bytes]] = []
        self._incoming: defaultdict[int, deque[tuple[MPI.Request, Bytes]]] = defaultdict(deque)
        self._held: list[tuple[int, Bytes]] = []
        self._status = MPI.Status()
        progress.add(self._move)

    def _send(self, target: int, message: Bytes, leaves: float) -> None:
        if leaves:
            self._late.append((leaves, target, message.copy()))
        else:
            self._leave(target, message.copy())
        self._sent[target] += 1
        if self._under_way() > MOST:
            self._progress.wait(lambda: self._under_way() <= MOST)

    def _leave(self, target: int, message: Bytes) -> None:
        self._outgoing.append((self._comm.Isend(message, target), message))

    def _under_way(self) -> int:
        """Return the number of messages that have not left."""
        return len(self._late) + len(self._outgoing)

    def _take(self) -> Messages:
        self._move()
        held, self._held = self._held, []
        return held

    def _wait(self) -> None:
        self._progress.wait(lambda: self._held)

    def _drain(self) -> Messages:
        counts = np.empty_like(self._sent)
        self._progress.wait(self._comm.Ialltoall(self._sent, counts).Test)
        self._progress.wait(lambda: not self._under_way() and bool((self._received >= counts).all()))
        return self._take()

    def _leave_late(self) -> None:
        now = time.perf_counter()
        for _ in range(len(self._late)):
            leaves, target, message = self._late.popleft()
            if leaves <= now:
                self._leave(target, message)
            else:
                self._late.append((leaves, target, message))

    def _move(self) -> None:
        if self._late:
            self._leave_late()
        status = self._status
        while (message := self._comm.Improbe(status=status)) is not None:
            buffer = np.empty(status.Get_count(MPI.BYTE), dtype=np.uint8)
            source = status.source  # receive without blocking, since the sender may be computing
            self._incoming[source].append((message.Irecv(buffer), buffer))
        for source, messages in self._incoming.items():
            while messages and messages[0][0].Test():  # in the order in which they were sent
                buffer = messages.popleft()[1]
                buffer.flags.writeable = False
                self._held.append((source, buffer))
                self._received[source] += 1
        if self._outgoing:
            self._outgoing = [sent for sent in self._outgoing if not sent[0].Test()]

    def _flush(self) -> None:
        self._progress.wait(lambda: not self._under_way())

    def finish(self) -> None:
        """Wait until all messages of this rank have been received."""
        self._flush()

    def free(self) -> None:
        """Free the communicator after all ranks have called `finish`."""
        self._comm.Free()
