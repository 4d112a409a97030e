"""The runs that a folder stands for: its own, those of a comparison, or those of a part of a comparison."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results.checked import Index


def runs_in(path: Path) -> list[Path]:
    """Return the run's folder, or the folders of a comparison's runs in order.

    Raises
    ------
    InputError
        If there are none, or the list of a comparison's runs is damaged.
    """
    if (path / folders.RUN).exists():
        return [path]
    index = index_of(path)
    if index is None or not index.runs:
        raise InputError(f"{path}: no run here (there is neither {folders.RUN} nor {folders.INDEX} in it)")
    return [path / run.folder for run in index.runs]


def index_of(path: Path) -> Index | None:
    """Return the list of the runs in a comparison's folder, or in a folder of it; None if there is none.

    The folder of a solver with several seeds or a grid has the runs of that solver.
    """
    own = folders.index(path)
    if own is not None:
        return own
    whole = path.resolve()
    for above in whole.parents:
        index = None
        with suppress(OSError, InputError):  # of a folder that was not asked for
            index = folders.index(above)
        start = f"{whole.relative_to(above).as_posix()}/"
        inside = [] if index is None else [run for run in index.runs if run.folder.startswith(start)]
        if index is not None and inside:
            return replace(index, runs=tuple(replace(run, folder=run.folder.removeprefix(start)) for run in inside))
    return None
