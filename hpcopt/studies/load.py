"""Finished runs and comparisons read from their folders."""

from __future__ import annotations

from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.runs.finished import Run
from hpcopt.studies.comparison import Comparison
from hpcopt.studies.places import index_of
from hpcopt.studies.plan import contenders_of


def load(folder: str | Path) -> Run | Comparison:
    """Return the finished run or the comparison in a folder.

    Of a comparison that was interrupted or is still running, the finished runs are read. Models are read when they are
    used.

    Parameters
    ----------
    folder
        As `hpcopt.run` or `hpcopt.compare` wrote it; in a comparison's, the folder of a solver has its runs.

    Raises
    ------
    InputError
        If there is neither, it is damaged, or no run has finished.
    """
    folder = Path(folder)
    index = index_of(folder) if not (folder / folders.RUN).exists() else None
    if index is None:
        described, records = folders.read(folder)
        if described.get("result") is None:
            raise InputError(f"{folder}: the run has not finished; its records so far are in {folders.TRACE}")
        return Run.of(described, records, folder)
    runs: dict[int, Run] = {}
    title = ""
    for place, listed in enumerate(index.runs):
        inner = folder / listed.folder
        if not folders.has_begun(inner):
            continue
        described, records = folders.read(inner)
        if described.get("result") is not None:
            runs[place] = Run.of(described, records, inner)
            title = described["problem"]
    if not runs:
        raise InputError(f"{folder}: none of the {len(index.runs)} runs has finished")
    goal = next(iter(runs.values())).goal
    contenders = contenders_of(index.runs, runs, goal, index.best)
    return Comparison(contenders, folder, goal, title, [line for one in contenders if (line := one.missed())])
