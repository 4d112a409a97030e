"""The output of records during a run: kept in memory, reported as progress, written to the trace.

Only the first is needed for the run's result, so failures of the others don't end the run: an error of the trace is
reported in a line, and a closed progress output is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType

from hpcopt.results.checkpoints import Mark
from hpcopt.results.folder import write_trace
from hpcopt.results.record import Record
from hpcopt.results.stopping import StopRule
from hpcopt.results.terminal import warn
from hpcopt.results.trace_file import TraceFile
from hpcopt.runs.progress import Progress


class Recorder:
    """Handles the records of one of a process's nodes; a context manager around the run.

    Parameters
    ----------
    label
        The label of the run.
    stop
        Its stop rule.
    folder
        The folder of the trace; None: no trace is written.
    silent
        Whether no progress is shown.
    earlier
        The records of a run that is resumed, which are in the trace already; None: the trace is begun.

    Attributes
    ----------
    records
        All records so far.
    folder_is_taken
        Whether another run has begun in the same folder meanwhile; known at the end.
    """

    def __init__(
        self,
        label: str,
        stop: StopRule,
        folder: Path | None,
        *,
        silent: bool,
        earlier: Sequence[Record] | None = None,
    ) -> None:
        self.records: list[Record] = [*(earlier or ())]
        self.folder_is_taken = False
        self._progress = Progress(label, stop, silent=silent)
        self._folder = folder
        self._goes_on = earlier is not None
        self._file: TraceFile | None = None
        self._stopped: TraceFile | None = None  # the same after a failure
        self._open = ExitStack()

    def __enter__(self) -> Recorder:
        self._open.enter_context(self._progress)
        if self._folder is not None:
            self._file = TraceFile(self._folder)
            self._guarded(partial(self._file.open, goes_on=self._goes_on))
        return self

    def take_over(self, folder: Path) -> None:
        """Write the trace from now on, as the process that did so has died: first the records so far, from memory."""
        self._folder, self._file = folder, TraceFile(folder)
        self._guarded(partial(write_trace, folder, self.records))
        if self._file is not None:
            self._guarded(partial(self._file.open, goes_on=True))

    def is_replaced(self) -> bool:
        """Return whether another run has begun in the same folder."""
        file = self._file or self._stopped
        return file is not None and file.is_replaced()

    def mark(self, *, without_last: bool) -> Mark | None:
        """Return the place in the trace after its last record, or before it; None if the trace is lost.

        All records before it are on disk then.
        """
        self._try_again()
        mark: list[Mark] = []

        def take() -> None:
            assert self._file is not None
            mark.append(self._file.mark(without_last=without_last))

        if self._file is not None:
            self._guarded(take)
        return mark[0] if mark else None

    def _try_again(self) -> None:
        """After a failure, write the whole trace from memory, and go on with it."""
        if self._stopped is None or self._folder is None or self._stopped.is_replaced():
            return
        file = TraceFile(self._folder)
        with suppress(OSError):
            write_trace(self._folder, self.records)
            file.open(goes_on=True)
            self._stopped.close()
            self._file, self._stopped = file, None

    @property
    def trace_is_lost(self) -> bool:
        """Whether the trace was written but its file is not whole, or has disappeared."""
        return self._stopped is not None or (self._file is not None and not self._file.path.exists())

    def tell(self, record: Record) -> None:
        """Handle another record."""
        self.records.append(record)
        self._progress.update(record)
        if self._file is not None:
            self._guarded(partial(self._file.append, record))

    def _guarded(self, step: Callable[[], None]) -> None:
        """Perform a step of writing the trace; if it fails, stop, and leave what is there: a checkpoint may need it."""
        try:
            step()
        except OSError as error:
            file = self._file
            assert file is not None
            file.stop()
            self._file, self._stopped = None, file
            warn(f"{file.path}: {error.strerror}; the trace is written at the end, if that is possible then")

    def give_up_trace(self, error: OSError) -> bool:
        """Remove the trace to make room, and report why; return whether there was one."""
        file = self._file or self._stopped
        if file is None:
            return False
        file.remove()
        warn(f"{file.path}: removed to make room for the result: {error.strerror}")
        self._file = self._stopped = None
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
        self.folder_is_taken = self.is_replaced()
        if self._file is not None:
            self._guarded(self._file.close)  # some file systems report a full disk only at this point
