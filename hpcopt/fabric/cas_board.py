"""The board over windows: lock-free compare-and-swap of a pointer, without a server node.

The current state is never modified: a new one is written elsewhere and then published by a compare-and-swap of one
word, HEAD, which resides on node 0. Each node's part of the window:

    HEAD | taken | flag of each slot | two buffers, one state each | slots of mails

    version << 20 | owner << 1 | buffer             the value of HEAD: the buffer that holds the state
    the machine's words | sent << 32 | taken ...    a state: the engine adds one word per node, the number of mails
                                                    sent to it, and how many of them it had taken at its last event

A transition reads HEAD, the state that it points to, and HEAD again. An owner writes only the buffer that HEAD does not
point to, and every change of HEAD increments its version, so the state was consistent if HEAD is unchanged. The machine
works on that copy; the result is stored in this node's spare buffer (the one that its last change of HEAD did not point
to), and HEAD is swapped. If another node was faster, HEAD differs, and the transition is repeated: an attempt fails
only if another one succeeded.

The swap that creates a mail also counts it. So every mail has a number and a slot of its own, and its receiver takes
mails in the order of the board's transitions, whatever their senders and arrival times.

HEAD, `taken` and flags are accessed by atomics only, also by their owners. A late reader may get a buffer while its
owner writes it. This is harmless: the second read of HEAD detects it, and the copy is discarded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from hpcopt.arrays import Words
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.window import Window

HOME = 0  # the node on which HEAD resides
HEAD, TAKEN, FLAGS = 0, 1, 2  # offsets in the window; the flags take SLOTS words
SLOTS = 8  # mails that may be pending at a node before senders wait for it

_VERSION, _OWNER = 20, 1  # bit positions of the fields of HEAD
_LOW = (1 << 32) - 1  # the low half of a word of counts: mails taken


class CASBoard(Board):
    """A node's access to the board.

    Parameters
    ----------
    seam
        Where events and waits are observed. Their cost is booked on the window's own seam.
    window
        A window of `CASBoard.part(machine, size)` words, used for nothing else.
    size
        Number of nodes.
    wait
        Waits until the given condition holds, and makes progress on other operations meanwhile.
    meet
        A barrier over all nodes; the board is ready when it returns.
    """

    def __init__(
        self,
        seam: Seam,
        window: Window,
        machine: Machine,
        size: int,
        wait: Callable[[Callable[[], object]], None],
        meet: Callable[[], None],
    ) -> None:
        super().__init__(seam)
        self.rank = window.rank
        self._window = window
        self._machine = machine
        self._wait_until = wait
        self._state = np.zeros(machine.words + size, dtype=np.int64)
        self._event = np.zeros((1, 3), dtype=np.int64)
        self._event[0, 1] = self.rank
        buffers = FLAGS + SLOTS
        self._buffers = (buffers, buffers + len(self._state))
        self._slots = buffers + 2 * len(self._state)
        self._spare = 1
        self._taken = 0
        self._mails: deque[Words] = deque()
        self._to_myself: dict[int, Words] = {}  # mail number -> mail
        if self.rank == HOME:  # version 0 is in buffer 0 of this node
            machine.begin(self._state[: machine.words])
            self._own(0)[:] = self._state
            window.sync()
        meet()

    @staticmethod
    def part(machine: Machine, size: int) -> int:
        """Return the number of words of a node's part."""
        return FLAGS + SLOTS + 2 * (machine.words + size) + SLOTS * (1 + machine.mail)

    def _own(self, buffer: int) -> Words:
        return self._window.local[self._buffers[buffer] :][: len(self._state)]

    def _post(self, kind: int, value: int) -> None:
        window, state, words = self._window, self._state, self._machine.words
        self._event[0] = kind, self.rank, value
        head = window.fetch_and_op(0, HOME, HEAD, "no-op")
        while True:
            again = self._read(head)
            if again != head:
                head = again
                continue
            mails = self._machine.apply(state[:words], self._event)
            numbers = self._count(mails)
            self._own(self._spare)[:] = state
            window.sync()
            mine = (head >> _VERSION) + 1 << _VERSION | self.rank << _OWNER | self._spare
            found = window.compare_and_swap(head, mine, HOME, HEAD)
            if found == head:
                break
            head = found
        self._spare = 1 - self._spare
        self._send(mails, numbers)

    def _read(self, head: int) -> int:
        """Read the state that `head` points to; return HEAD afterwards: if unchanged, the state is consistent."""
        owner, buffer = (head & ~(-1 << _VERSION)) >> _OWNER, head & 1
        if owner == self.rank:  # no other node writes it
            self._state[:] = self._own(buffer)
            return head
        self._window.get(owner, self._buffers[buffer], self._state)
        self._window.flush(owner)
        return self._window.fetch_and_op(0, HOME, HEAD, "no-op")

    def _count(self, mails: list[tuple[int, Words]]) -> list[int]:
        """Update the counts of mails sent and of those taken by this node; return the number of each mail, from 1."""
        counts = self._state[self._machine.words :]
        counts[self.rank] = counts[self.rank] & ~_LOW | self._taken
        numbers = []
        for target, _ in mails:
            counts[target] += 1 << 32
            numbers.append(int(counts[target] >> 32))
        return numbers

    def _send(self, mails: list[tuple[int, Words]], numbers: list[int]) -> None:
        window = self._window
        counts = self._state[self._machine.words :]
        bodies = []
        for (target, words), number in zip(mails, numbers, strict=True):
            if target == self.rank:
                self._to_myself[number] = words.copy()
                continue
            if number - int(counts[target] & _LOW) > SLOTS:
                self._wait_for_room(target, number)
            slot = number % SLOTS
            body = np.concatenate(([len(words)], words))
            window.put(body, target, self._slots + slot * (1 + self._machine.mail))
            bodies.append((target, slot, number, body))
        for target, _, _, _ in bodies:
            window.flush(target)
        for target, slot, number, _ in bodies:  # after the bodies
            window.fetch_and_op(number, target, FLAGS + slot, "replace")

    def _wait_for_room(self, target: int, number: int) -> None:
        window = self._window

        def is_free() -> bool:
            while self._is_there(self._taken + 1):  # the target may be waiting for a slot on this node
                self._take(self._taken + 1)
            return number - window.fetch_and_op(0, target, TAKEN, "no-op") <= SLOTS

        self._wait_until(is_free)

    def _is_there(self, number: int) -> bool:
        flag = FLAGS + number % SLOTS
        return number in self._to_myself or self._window.fetch_and_op(0, self.rank, flag, "no-op") == number

    def _take(self, number: int) -> None:
        """Take an arrived mail out of its slot."""
        window = self._window
        if number in self._to_myself:
            words = self._to_myself.pop(number)
        else:
            window.sync()
            start = self._slots + number % SLOTS * (1 + self._machine.mail)
            length = int(window.local[start])
            words = window.local[start + 1 : start + 1 + length].copy()
        self._mails.append(words)
        self._taken = number
        window.fetch_and_op(number, self.rank, TAKEN, "replace")

    def _wait(self) -> Words:
        if not self._mails:
            number = self._taken + 1
            if number not in self._to_myself:
                self._window.wait(FLAGS + number % SLOTS, lambda flag: flag == number)
            self._take(number)
        return self._mails.popleft()
