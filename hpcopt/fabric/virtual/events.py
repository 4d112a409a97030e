"""The event loop of the virtual cluster: events in order of virtual time, and equal times in order of insertion."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import greenlet


class DeadlockError(RuntimeError):
    """No node can continue, but some have not ended: they wait for an operation that the others never join."""


class EventLoop:
    """Runs greenlets one at a time, always the one with the earliest time."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], Any]]] = []
        self._entered = 0
        self._loop: greenlet.greenlet | None = None
        self._nodes: list[greenlet.greenlet] = []
        self.now = 0.0
        """Virtual time of the current event."""

    def at(self, time: float, action: Callable[[], Any]) -> None:
        """Call `action` at virtual time `time`; it must not block."""
        heapq.heappush(self._due, (time, self._entered, action))
        self._entered += 1

    def wake(self, sleeper: greenlet.greenlet, time: float) -> None:
        """Resume `sleeper` at virtual time `time`."""
        self.at(time, sleeper.switch)

    def block(self) -> None:
        """Suspend the running greenlet until another one wakes it."""
        assert self._loop is not None
        self._loop.switch()

    def interrupt(self, error: type[BaseException]) -> None:
        """Let the programs that wait end by `error`, after the running one has ended; it must not block again."""
        running = greenlet.getcurrent()

        def end() -> None:
            self._due.clear()
            for node in self._nodes:
                if node is not running and not node.dead:
                    node.throw(error)

        self._due.clear()
        self.at(self.now, end)

    def run(self, programs: Sequence[Callable[[], Any]], describe: Callable[[int], str]) -> None:
        """Run all programs to completion; an exception in one of them ends all and is raised here.

        Raises
        ------
        DeadlockError
            With `describe(i)` of a program that waits forever.
        """
        self._loop = greenlet.getcurrent()
        nodes = self._nodes = [greenlet.greenlet(program) for program in programs]
        for node in nodes:
            self.wake(node, 0.0)
        while self._due:
            time, _, action = heapq.heappop(self._due)
            self.now = max(self.now, time)  # a meeting for monitoring wakes its members at earlier times
            action()
        stuck = [i for i, node in enumerate(nodes) if not node.dead]
        if stuck:
            raise DeadlockError(f"{len(stuck)} of {len(nodes)} nodes wait forever; {describe(stuck[0])}")
