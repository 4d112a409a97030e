"""Progress of reading and of a run: a bar on a terminal, otherwise a line every few seconds.

Only the process that hosts node 0 reports; the others are silent.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from hpcopt.data.listening import told_to
from hpcopt.results.goal import Goal
from hpcopt.results.record import Record
from hpcopt.results.stopping import StopRule
from hpcopt.results.terminal import is_terminal

EVERY = 5.0  # seconds between two plain lines
SOON = 1.0  # seconds of reading without a bar
_MEGABYTE = 1e6


class Progress:
    """Reports the progress of a run from its records.

    Parameters
    ----------
    label
        The label of the run.
    stop
        Its budget of rounds is the length of the bar.
    silent
        Whether to print nothing.
    """

    def __init__(self, label: str, stop: StopRule, *, silent: bool = False) -> None:
        self._silent = silent
        self._label = label
        self._rounds = stop.rounds
        self._goal = Goal(column=stop.target_on)
        self._spoke = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if not self._silent and is_terminal():
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("rounds  {task.fields[objective]}"),
                TimeElapsedColumn(),
            )
            self._bar = Bar(*columns, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._rounds, objective="")
        return self

    def update(self, record: Record) -> None:
        """Report another record, if it is time."""
        if self._silent:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=record.round, objective=self._goal.told(record))
            return
        now = time.monotonic()
        if now - self._spoke < EVERY:
            return
        self._spoke = now
        try:
            print(
                f"{self._label}: round {record.round}, {record.seconds:.3g} s, {self._goal.told(record)}, "
                f"gradient {record.grad_norm:.3g}",
                flush=True,
            )
        except OSError:  # the output is closed, or its disk is full
            self._silent = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()


class ReadingProgress:
    """Reports how far files have been read; a context manager.

    Parameters
    ----------
    silent
        Whether to print nothing.
    """

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._began = self._spoke = time.monotonic()
        self._bar: Any = None
        self._tasks: dict[Path, Any] = {}
        self._open = ExitStack()

    def __enter__(self) -> ReadingProgress:
        if not self._silent:
            self._open.enter_context(told_to(self._update))
        return self

    def _update(self, path: Path, passed: int, total: int) -> None:
        """Report that `passed` of the `total` bytes of a file have been read, if it is time."""
        now = time.monotonic()
        if now - self._began < SOON:
            return
        if is_terminal():
            self._move(path, passed, total)
        elif now - self._spoke >= EVERY:
            self._spoke = now
            try:
                print(f"reading {path.name}: {passed / _MEGABYTE:,.0f} of {total / _MEGABYTE:,.0f} MB", flush=True)
            except OSError:  # the output is closed, or its disk is full
                self._spoke = float("inf")

    def _move(self, path: Path, passed: int, total: int) -> None:
        if self._bar is None:
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("reading {task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
            self._bar = self._open.enter_context(Bar(*columns, transient=True))
        if path not in self._tasks:
            self._tasks[path] = self._bar.add_task(path.name, total=total)
        self._bar.update(self._tasks[path], completed=passed)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
