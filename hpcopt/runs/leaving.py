"""What a finished run leaves behind, in the order of what it would cost to lose: model, result, the rest, pictures.

A disk may be full by then, or the folder gone. The trace makes room for model and result, the only files that a run
fails for; where the model's own place does not take it, the folder for temporary files does. What else cannot be
written is a line on the error stream, and no part of it stays.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.models.model import Model
from hpcopt.results import folder as folders
from hpcopt.results.terminal import warn
from hpcopt.runs.phases import Phases
from hpcopt.runs.recorder import Recorder

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def save_model(model: Model, path: Path) -> None:
    """Write `model` to `path`, or else where it is found again.

    Raises
    ------
    InputError
        Where `path` cannot be written, with the place where the model is instead.
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
        run.json as it stood while the run went on.
    phases
        Of the run, of which "write" goes on.
    recorder
        Of the run; its trace is given up where its room is needed.

    Raises
    ------
    InputError
        Where one of them cannot be written, with the place where the model is.
    """
    path = folder / folders.RUN
    try:
        folder.mkdir(parents=True, exist_ok=True)  # somebody may have removed it meanwhile
        _in_the_traces_place(partial(model.save, folder / folders.MODEL), recorder)
    except OSError:
        save_model(model, folder / folders.MODEL)
    whole = {**described, "phases": phases.seconds, "result": result}
    try:
        _in_the_traces_place(partial(folders.write_json, path, whole), recorder)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; the model is in {folder / folders.MODEL}") from None


def leave_rest(
    folder: Path, recorder: Recorder, edges: NDArray[np.int64] | None, spans: NDArray[np.float64] | None
) -> None:
    """Write edges and timeline, of a run that has them, and the trace where it has vanished."""
    if edges is not None:
        _or_warn(partial(folders.write_edges, folder, edges))
    if spans is not None:
        _or_warn(partial(folders.write_timeline, folder, spans))
    if recorder.trace_is_lost:
        _or_warn(partial(folders.write_trace, folder, recorder.records))


def _in_the_traces_place(write: Callable[[], None], recorder: Recorder) -> None:
    """Carry out `write`; where there is no room for it, once more in that of the trace."""
    try:
        write()
    except OSError as error:
        if error.errno not in NO_ROOM or not recorder.give_up_trace(error):
            raise
        write()


def _rescued(model: Model, name: str) -> str:
    """Save the model where temporary files go; return the words that say where."""
    try:
        path = Path(tempfile.mkdtemp(prefix="hpcopt-")) / name
        model.save(path)
    except OSError as error:
        return f"the model is lost, since {tempfile.gettempdir()} does not take it either ({error.strerror})"
    return f"the model is in {path}"


def _or_warn(write: Callable[[], None]) -> None:
    """Carry out `write`; what keeps it from being done is a line."""
    try:
        write()
    except OSError as error:
        warn(f"{error.filename} not written: {error.strerror}")
