"""Where the records of a run go while it goes on: kept, told to a person, written to its folder."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType

from hpcopt.results.folder import TraceFile
from hpcopt.results.record import Record
from hpcopt.results.stopping import StopRule
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
        with ExitStack() as opening:
            opening.enter_context(self._progress)
            if self._folder is not None:
                self._file = opening.enter_context(closing(TraceFile(self._folder)))
            self._open = opening.pop_all()
        return self

    def tell(self, record: Record) -> None:
        """Take one more record."""
        self.records.append(record)
        self._progress.update(record)
        if self._file is not None:
            self._file.append(record)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
