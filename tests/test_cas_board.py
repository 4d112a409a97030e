"""The board over windows, checked on a memory model for every interleaving of the operations of a few nodes.

The model executes one operation of one node at a time. A get counts as two, so that its halves may come from before and
after another node's store. A node's next operation depends only on the results of its previous ones, so a state
consists of the memory and these histories. Each state is visited once, and programs are replayed from their histories.
"""

from __future__ import annotations

import greenlet
import numpy as np
import pytest

from hpcopt.fabric import cas_board
from hpcopt.fabric.cas_board import CASBoard
from hpcopt.fabric.ledger import Ledger
from hpcopt.fabric.seam import Seam
from hpcopt.fabric.window import Window
from tests.counting import Counting

VALUE = 40


class ModelWindow(Window):
    """A window that passes its operations to the explorer, which answers when it executes them."""

    def __init__(self, words, rank, slot):
        super().__init__(words, Seam(Ledger()), rank, "model", by_edge=False)
        self._slot = slot  # flag -> offset and number of words of its mail
        self.local = np.zeros(words, dtype=np.int64)
        self._known = self.local.copy()
        self._later = []

    def _happen(self, *operation):
        return self.explorer.switch(operation)

    def _put(self, x, target, at):
        self._later.append(("store", target, at, tuple(x.tolist())))

    def _get(self, target, at, out):
        half = len(out) // 2
        self._later.append(("read", target, at, out[:half]))
        self._later.append(("read", target, at + half, out[half:]))

    def _accumulate(self, x, target, at):  # noqa: ARG002
        raise AssertionError("a board adds to nobody's words")

    def _fetch_and_op(self, value, target, at, op):
        return self._happen("fetch", target, at, value, op)

    def _compare_and_swap(self, expected, desired, target, at):
        return self._happen("swap", target, at, expected, desired)

    def _flush(self, target):
        now = [operation for operation in self._later if operation[1] == target]
        self._later = [operation for operation in self._later if operation[1] != target]
        for name, owner, at, what in now:
            if name == "read":
                what[:] = self._happen("read", owner, at, len(what))
            else:
                self._happen("store", owner, at, what)

    def sync(self):
        """Store the program's changes to its own part."""
        changed = np.flatnonzero(self.local != self._known)
        if changed.size:
            first, last = changed[0], changed[-1] + 1
            self._happen("store", self.rank, int(first), tuple(self.local[first:last].tolist()))
            self._known[:] = self.local

    def _wait(self, at, until, seconds):  # noqa: ARG002
        """Wait, and make the mail visible that the flag announces."""
        word = self._happen("wait", self.rank, at, until)
        first, words = self._slot(at)
        self.local[first : first + words] = self._happen("read", self.rank, first, words)
        self._known[:] = self.local
        return word


def happen(memory, operation):
    """Return the memory after an operation and its result; None if it can't be executed yet."""
    name, owner, at, *rest = operation
    part = memory[owner]
    if name == "read":
        return memory, part[at : at + rest[0]]
    before = part[at]
    if name == "wait":
        return (memory, before) if rest[0](before) else None
    if name == "store":
        after = rest[0]
        before = None
    elif name == "swap":
        after = (rest[1] if before == rest[0] else before,)
    else:
        value, op = rest
        after = ({"sum": before + value, "replace": value, "no-op": before}[op],)
    changed = (*part[:at], *after, *part[at + len(after) :])
    return (*memory[:owner], changed, *memory[owner + 1 :]), before


class Explorer:
    """Visits all states of `size` nodes that post `posts` events each and take the resulting mails.

    With `short`, which allows only one post per node, operations on anything but HEAD are executed at once, as no other
    node can see them before a flag or HEAD announces them, and failed attempts are forgotten, as they have no effects.
    """

    def __init__(self, board, size, posts, *, to_all=False, short=False):
        self.machine = Counting(size)
        self.words = CASBoard.part(self.machine, size)
        self.size = size
        self.posts = posts
        self.to_all = to_all
        self._short = short
        self._board = board
        self._next = {}  # (node, history) -> its next operation, or its final result
        self._longer = {}  # (node, history, result) -> history
        self._results = [()]  # of each history
        self.states = self.ends = 0

    def program(self, window):
        board = self._board(Seam(Ledger()), window, self.machine, self.size, None, lambda: None)
        for turn in range(self.posts):
            board.post(int(self.to_all), VALUE + turn)
        mails = self.posts * (self.size if self.to_all else 1)
        return [tuple(board.wait().tolist()) for _ in range(mails)]

    def next(self, node, history):
        """Return the node's next operation after the history, and whether it has ended."""
        if (node, history) not in self._next:
            window = ModelWindow(self.words, node, self.slot)
            running = greenlet.greenlet(lambda: self.program(window))
            window.explorer = greenlet.getcurrent()
            operation = running.switch()
            for result in self._results[history]:
                operation = running.switch(result)
            self._next[node, history] = operation, running.dead
        return self._next[node, history]

    def slot(self, flag):
        words = 1 + self.machine.mail
        return self.words - (cas_board.SLOTS - flag + cas_board.FLAGS) * words, words

    def follow(self, node, history, operation, result):
        """Return the history after one more result."""
        if self._short and operation[2] == cas_board.HEAD and history and result != self._results[history][0]:
            history = 0  # HEAD has changed: equivalent to a first read now
        longer = (node, history, result)
        if longer not in self._longer:
            self._longer[longer] = len(self._results)
            self._results.append((*self._results[history], result))
        return self._longer[longer]

    def explore(self):
        begin = ((0,) * self.words,) * self.size, (0,) * self.size
        seen, stack = {begin}, [begin]
        while stack:
            memory, histories = stack.pop()
            self.states += 1
            nexts = [self.next(node, history) for node, history in enumerate(histories)]
            if all(ended for _, ended in nexts):
                self.check(memory, [told for told, _ in nexts])
                continue
            going = [
                (node, operation, happened)
                for node, (operation, ended) in enumerate(nexts)
                if not ended and (happened := happen(memory, operation)) is not None
            ]
            assert going, "all wait for ever"
            if self._short:
                going = [one for one in going if one[1][2] != cas_board.HEAD][:1] or going
            for node, operation, (after, result) in going:
                longer = self.follow(node, histories[node], operation, result)
                state = after, (*histories[:node], longer, *histories[node + 1 :])
                if state not in seen:
                    seen.add(state)
                    stack.append(state)
        return self

    def check(self, memory, told):
        """Each event was applied once, in one order, and each mail arrived, in that order."""
        self.ends += 1
        head = memory[0][cas_board.HEAD]
        everything = self.size * self.posts
        assert head >> 20 == everything
        start = cas_board.FLAGS + cas_board.SLOTS + (head & 1) * (self.machine.words + self.size)
        state = memory[(head >> 1) % (1 << 19)][start : start + self.machine.words]
        assert state == (everything, *[self.posts] * self.size, everything)
        values = [VALUE + turn for turn in range(self.posts)]
        for node, mails in enumerate(told):
            assert sorted(mails) == mails
            assert all(len(mail) == 3 for mail in mails)
            senders = range(self.size) if self.to_all else [(node - 1) % self.size]
            for sender in senders:
                assert [value for _, source, value in mails if source == sender] == values
            assert len(mails) == len(senders) * self.posts
        numbers = [number for mails in told for number, _, _ in mails]
        assert set(numbers) == set(range(1, everything + 1))


@pytest.fixture(autouse=True)
def few_slots(monkeypatch):
    monkeypatch.setattr(cas_board, "SLOTS", 4)


@pytest.mark.parametrize(
    ("size", "posts", "to_all"), [(1, 3, True), (2, 1, True), (2, 2, False), (2, 2, True), (3, 1, False)]
)
def test_in_every_order_of_operations_each_event_counts_once_and_each_mail_comes(size, posts, to_all):
    explored = Explorer(CASBoard, size, posts, to_all=to_all).explore()
    assert explored.ends > (size - 1) * posts


@pytest.mark.parametrize("size", [3, 4])
def test_in_every_order_in_which_head_is_looked_at_and_swapped_more_nodes_come_through(size):
    assert Explorer(CASBoard, size, 1, short=True).explore().ends > size


class LooksOnce(CASBoard):
    """Uses the state without checking that it is consistent."""

    def _read(self, head):
        super()._read(head)
        return head


class WritesOver(CASBoard):
    """Overwrites its current state by the next one."""

    def _post(self, kind, value):
        self._spare = 1
        super()._post(kind, value)


class FlagsFirst(CASBoard):
    """Sets the flag of a mail before the mail has arrived."""

    def _send(self, mails, numbers):
        for (target, _), number in zip(mails, numbers, strict=True):
            self._window.fetch_and_op(number, target, cas_board.FLAGS + number % cas_board.SLOTS, "replace")
        super()._send(mails, numbers)


class SwapsBlindly(CASBoard):
    """Assumes that every swap succeeds."""

    def _post(self, kind, value):
        window = self._window
        swap, window.compare_and_swap = window.compare_and_swap, lambda *words: swap(*words) and words[0]
        super()._post(kind, value)
        window.compare_and_swap = swap


@pytest.mark.parametrize("board", [LooksOnce, WritesOver, FlagsFirst, SwapsBlindly])
def test_without_any_one_of_its_cares_some_order_breaks_the_protocol(board):
    with pytest.raises(AssertionError):
        Explorer(board, 2, 2).explore()
