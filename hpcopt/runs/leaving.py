"""Writes the output of a finished run, most important first: model, result, other files, pictures.

The disk may be full by then, or the folder removed. If necessary, the trace is deleted to make room for model and
result; one that could not be written during the run is written now. Only without model and result does a run fail. If
the model can't be written to its folder, it goes to the folder for temporary files. For any other file that can't be
written, a line is printed to the error stream, and no partial file remains.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.models.model import Model
from hpcopt.results import folder as folders
from hpcopt.results.operations import write_operations
from hpcopt.results.terminal import warn
from hpcopt.runs.phases import Phases
from hpcopt.runs.recorder import Recorder

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def save_model(model: Model, path: Path) -> None:
    """Write `model` to `path`, or otherwise to the folder for temporary files.

    Raises
    ------
    InputError
        If `path` cannot be written, with the path of the model instead.
    """
    try:
        model.save(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; {_rescued(model, path.name)}") from None


def leave_result(
    model: Model,
    folder: Path,
    described: dict[str, Any],
    phases: Phases,
    result: dict[str, Any],
    recorder: Recorder,
) -> None:
    """Write model.npz and then run.json with its result.

    Parameters
    ----------
    described
        The contents of run.json during the run.
    phases
        The run's phases, with "write" in progress.
    recorder
        The run's recorder; its trace is deleted if its space is needed.

    Raises
    ------
    InputError
        If one of them cannot be written, or the folder is another run's by now, with the path of the model.
    """
    if recorder.folder_is_taken:
        raise InputError(f"{folder}: another run has begun in this folder; {_rescued(model, folders.MODEL)}")
    path = folder / folders.RUN
    try:
        folder.mkdir(parents=True, exist_ok=True)  # it may have been removed meanwhile
        _in_the_traces_place(partial(model.save, folder / folders.MODEL), recorder)
    except OSError:
        save_model(model, folder / folders.MODEL)
    times = {"phases": phases.seconds, "phases_over_ranks": phases.over_processes}
    whole = {**described, **times, "result": result}
    try:
        _in_the_traces_place(partial(folders.write_json, path, whole), recorder)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the model is in {folder / folders.MODEL}") from None


def leave_rest(
    folder: Path,
    recorder: Recorder,
    edges: NDArray[np.int64] | None,
    operations: str | None,
    spans: NDArray[np.float64] | None,
) -> None:
    """Write edges, operations and timeline, if the run has them, and the trace if its file has been lost."""
    if edges is not None:
        _or_warn(partial(folders.write_edges, folder, edges))
    if operations is not None:
        _or_warn(partial(write_operations, folder, operations))
    if spans is not None:
        _or_warn(partial(folders.write_timeline, folder, spans))
    if recorder.trace_is_lost and not _or_warn(partial(folders.write_trace, folder, recorder.records)):
        with suppress(OSError):
            (folder / folders.TRACE).unlink()  # a part could be mistaken for the whole


def _in_the_traces_place(write: Callable[[], None], recorder: Recorder) -> None:
    """Call `write`; if the disk is full, delete the trace and try again."""
    try:
        write()
    except OSError as error:
        if error.errno not in NO_ROOM or not recorder.give_up_trace(error):
            raise
        write()


def _rescued(model: Model, name: str) -> str:
    """Save the model in the folder for temporary files; return a message with its path."""
    try:
        path = Path(tempfile.mkdtemp(prefix="hpcopt-")) / name
        model.save(path)
    except OSError as error:
        return f"the model is lost, since it could not be written to {tempfile.gettempdir()} either ({error.strerror})"
    return f"the model is in {path}"


def _or_warn(write: Callable[[], None]) -> bool:
    """Call `write`; print a line if it fails, and return whether it did not."""
    try:
        write()
    except OSError as error:
        warn(f"{error.filename} not written: {error.strerror}")
        return False
    return True
