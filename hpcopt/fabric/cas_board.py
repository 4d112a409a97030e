"""The board over windows: a lock-free pointer swing, without any node that does it for the others.

The logical state is never changed: a new one is written beside the old one and then named by a compare-and-swap on
one word, HEAD, which node 0 is the home of. Each node's part of the window:

    HEAD | taken | flag of each slot | two buffers of a state each | slots of mails

    version << 20 | owner << 1 | buffer             the value of HEAD: whose buffer holds the state
    the machine's words | sent << 32 | taken ...    a state: what the engine adds is a word for each node, its mails
                                                    sent so far, and how many of them it had taken at its last event

A transition reads HEAD, the state that it names, and HEAD again: as an owner writes only the buffer that HEAD does not
name, and every change of HEAD counts its version up, the state was whole if HEAD is the same. The machine works on that
copy; the result is stored in this node's spare buffer (the one its last change of HEAD did not name), and HEAD is
swapped. If another was quicker, HEAD differs, and all is done again: a node fails only because another one succeeded.

The swap that made a mail has counted it too, so every mail has a number, its slot is nobody else's, and its receiver
takes mails in the order of the board's transitions, whoever sent them and whenever they come.

HEAD, `taken` and flags are touched by atomics only, by their owners too. A stale reader may get a buffer while its
owner writes it: what it got has no value but does no harm, as the second look at HEAD throws it away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from hpcopt.arrays import Words
from hpcopt.fabric.board import Board, Machine
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.window import Window

HOME = 0  # the node whose part holds HEAD
HEAD, TAKEN, FLAGS = 0, 1, 2  # places in the window; the flags are SLOTS words
SLOTS = 8  # of mails that a node may leave untaken before senders wait for it

_VERSION, _OWNER = 20, 1  # bits below the parts of HEAD
_LOW = (1 << 32) - 1  # of a word of counts: the mails taken


class CASBoard(Board):
    """A node's access to it.

    Parameters
    ----------
    seam
        Where events and waits are observed; the window has its own, on which they are booked.
    window
        Of `CASBoard.part(machine, size)` words, used by nobody else.
    size
        Number of nodes.
    wait
        Waits until the condition given holds, and lets other things move meanwhile.
    meet
        Waits for all nodes; the board is ready when it returns.
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
        self._to_myself: dict[int, Words] = {}  # by number
        if self.rank == HOME:  # version 0 is in its buffer 0
            machine.begin(self._state[: machine.words])
            self._own(0)[:] = self._state
            window.sync()
        meet()

    @staticmethod
    def part(machine: Machine, size: int) -> int:
        """Return the words of a node's part."""
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
        """Read the state that `head` names; return what HEAD is then: the state is whole if that is the same."""
        owner, buffer = (head & ~(-1 << _VERSION)) >> _OWNER, head & 1
        if owner == self.rank:  # nobody else writes it
            self._state[:] = self._own(buffer)
            return head
        self._window.get(owner, self._buffers[buffer], self._state)
        self._window.flush(owner)
        return self._window.fetch_and_op(0, HOME, HEAD, "no-op")

    def _count(self, mails: list[tuple[int, Words]]) -> list[int]:
        """Enter mails into the counts, and how many this node has taken; return the number of each, from 1."""
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
            while self._is_there(self._taken + 1):  # the target may be waiting for room here
                self._take(self._taken + 1)
            return number - window.fetch_and_op(0, target, TAKEN, "no-op") <= SLOTS

        self._wait_until(is_free)

    def _is_there(self, number: int) -> bool:
        flag = FLAGS + number % SLOTS
        return number in self._to_myself or self._window.fetch_and_op(0, self.rank, flag, "no-op") == number

    def _take(self, number: int) -> None:
        """Take a mail that is there out of its slot."""
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
