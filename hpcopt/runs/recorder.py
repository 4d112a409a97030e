"""Where the records of a run go while it goes on: kept, told to a person, written to its folder.

Only the first of the three is needed for the run's result, so neither of the others can end it: what goes wrong with
the trace is told in a line, and a reader of the progress who leaves is not missed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from hpcopt.results.folder import TraceFile
from hpcopt.results.record import Record
from hpcopt.results.stopping import StopRule
from hpcopt.results.terminal import warn
from hpcopt.runs.progress import Progress


class Recorder:
    """What a process does with the records of one of its nodes; a context manager around the run.

    Parameters
    ----------
    label
        What the run is called.
    stop
        Its rule.
    folder
        Where its trace is written; None: it is not.
    silent
        Whether a person is told nothing.

    Attributes
    ----------
    records
        All so far.
    """

    def __init__(self, label: str, stop: StopRule, folder: Path | None, *, silent: bool) -> None:
        self.records: list[Record] = []
        self._progress = Progress(label, stop, silent=silent)
        self._folder = folder
        self._file: TraceFile | None = None
        self._open = ExitStack()

    def __enter__(self) -> Recorder:
        self._open.enter_context(self._progress)
        if self._folder is not None:
            self._file = TraceFile(self._folder)
            self._guarded(self._file.open)
        return self

    @property
    def trace_is_lost(self) -> bool:
        """Whether the trace is not where it was written, though it could have been."""
        return self._file is not None and not self._file.path.exists()

    def tell(self, record: Record) -> None:
        """Take one more record."""
        self.records.append(record)
        self._progress.update(record)
        if self._file is not None:
            self._guarded(partial(self._file.append, record))

    def _guarded(self, step: Callable[[], None]) -> None:
        """Carry out a step of writing the trace; give it up if that fails."""
        try:
            step()
        except OSError as error:
            self.give_up_trace(error)

    def give_up_trace(self, error: OSError) -> bool:
        """Remove the trace, part of which would pass for the whole, and tell why; return whether there was one."""
        if self._file is None:
            return False
        self._file.remove()
        warn(f"{self._file.path}: {error.strerror}; the run continues without a trace")
        self._file = None
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
        if self._file is not None:
            self._guarded(self._file.close)  # some file systems find out only now that there is no room
