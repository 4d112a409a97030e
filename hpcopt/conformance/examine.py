"""Runs the conformance suite on external solvers in a separate process.

Whatever a solver does (loops forever, exits, crashes), this process continues: it ends the other process, records the
check as failed, and starts a new process for the remaining checks.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpcopt.conformance.checks import CHECKS
from hpcopt.conformance.verdict import Verdict
from hpcopt.errors import InputError

LOADING = 60.0  # time limit in seconds for loading a file, including hpcopt's own imports
LIMIT = 20.0  # seconds per check
ENDING = 5.0  # seconds that a process may take to end
STRIKES = 2  # after this many checks of a solver have ended the process or timed out, the others are skipped
LEFT_OUT = f"{STRIKES} checks have ended the process or run out of time"

_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hpcopt.conformance.worker import work
work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
"""


def examine(path: str | Path, limit: float = LIMIT) -> Iterator[Verdict]:
    """Yield the verdict on each solver registered by the file `path` and each check, as they become available.

    Parameters
    ----------
    limit
        Time limit of a check in seconds.

    Raises
    ------
    InputError
        In one line, if the file can't be loaded.
    """
    worker = _Worker(path, 0)
    try:
        todo = deque((name, check.sentence) for name in worker.names() for check in CHECKS)
        strikes: Counter[str] = Counter()
        total = len(todo)
        while todo:
            name, sentence = todo.popleft()
            verdict = worker.verdict(limit)
            if verdict is not None:
                yield verdict
                continue
            yield Verdict(name, sentence, "fails", worker.fate)
            strikes[name] += 1
            while strikes[name] == STRIKES and todo and todo[0][0] == name:
                yield Verdict(*todo.popleft(), "not asked", LEFT_OUT)
            if todo:
                worker.end()
                worker = _Worker(path, total - len(todo))
                worker.go_on()
    finally:
        worker.end()


class _Worker:
    """A process that checks the solvers of `path`, without the first `skip` verdicts.

    Attributes
    ----------
    fate
        How it ended, once it has.
    """

    def __init__(self, path: str | Path, skip: int) -> None:
        self.fate = ""
        self._path = path
        self._unread = b""
        self._pipe, theirs = os.pipe()
        arguments = json.dumps(sys.path), str(path), str(theirs), str(skip)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=2,  # keeps solvers' output out of the table
            pass_fds=(theirs,),
            start_new_session=True,  # so that all its child processes can be ended, too
        )
        os.close(theirs)

    def names(self) -> list[str]:
        """Return the names of the solvers; raise `InputError` if the file can't be loaded."""
        told = self._next(LOADING)
        if "error" in told or self.fate:
            raise InputError(told.get("error") or f"{self._path}: while it was loaded, {self.fate}")
        names: list[str] = told["solvers"]
        return names

    def go_on(self) -> None:
        """Skip the names, which are known; if the file fails to load this time, that is the process's fate."""
        try:
            self.names()
        except InputError as error:
            self.fate = str(error)

    def verdict(self, limit: float) -> Verdict | None:
        """Return the next verdict; None if there is none within `limit` seconds; then no more will come."""
        told = self._next(limit)
        return None if self.fate else Verdict(**told["verdict"])

    def end(self) -> None:
        """End the process and all its child processes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._pipe)

    def _next(self, limit: float) -> dict[str, Any]:
        deadline = time.monotonic() + limit
        while not self.fate and b"\n" not in self._unread:
            if not select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.fate = f"it was stopped after {limit:g} s, still running: does rounds() yield?"
                continue
            received = os.read(self._pipe, 1 << 16)
            if not received:
                self.fate = self._how_it_ended()
            self._unread += received
        if self.fate:
            return {}
        line, self._unread = self._unread.split(b"\n", 1)
        told: dict[str, Any] = json.loads(line)
        return told

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            return "the process stopped responding"
        if code < 0:
            return f"the process was killed ({signal.Signals(-code).name})"
        return f"the process ended with exit code {code}"
