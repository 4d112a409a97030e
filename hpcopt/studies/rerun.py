"""`hpcopt rerun DIR`: finished runs once more, from the specifications in their folders, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.data.request import ARRAYS
from hpcopt.errors import InputError
from hpcopt.fabric.launch import started
from hpcopt.results import folder as folders
from hpcopt.results.record import Record
from hpcopt.runs.finished import Run
from hpcopt.runs.start import run_as_read
from hpcopt.spec.overrides import override
from hpcopt.spec.specification import Specification, specification_from
from hpcopt.studies.changes import TOLERANCE, Result, circumstances, first_difference, results
from hpcopt.studies.places import runs_in


@dataclass(frozen=True)
class Again:
    """A run that was made again.

    Attributes
    ----------
    run
        The new run.
    same_rows
        Whether the training rows are the same.
    results
        Its results beside those of the first run.
    tolerance
        The relative difference up to which they agree.
    changes
        What else differs, apart from the results; known to the process that writes the folder.
    at
        Where the records first differ; empty if they are equal bit by bit.
    """

    run: Run
    same_rows: bool
    results: list[Result]
    tolerance: float
    changes: list[str] = field(default_factory=list)
    at: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the rows are the same, and no result differs by more than the tolerance."""
        return self.same_rows and all(result.difference <= self.tolerance for result in self.results)


def rerun(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    comm: Any = None,
    overwrite: bool = False,
    quiet: bool = True,
    tolerance: float = TOLERANCE,
) -> Again:
    """Make the run in `folder` again; collective over the ranks of `comm`, as many as the run had.

    Conditions of the solver's theory are not asked for again. Relative paths are taken from the current folder or else
    from that in which the run was started.

    Parameters
    ----------
    out
        The folder of the new run; default: in runs, the name of the run's folder, in a comparison with those around
        it, and "-again".
    overwrite, quiet
        As in `hpcopt.run`.
    tolerance
        The relative difference up to which results agree.

    Raises
    ------
    InputError
        In one line, on every rank: if there is no finished run in the folder, or it is damaged; if it needs another
        number of ranks; for any error in its specification or its data.
    """
    folder = Path(folder)
    out = _default(folder) if out is None else Path(out)
    ranks = started()[0] if comm is None else comm.size
    read = partial(_specification, folder, out, ranks)
    run = run_as_read(read, folder / folders.RUN, comm=comm, overwrite=overwrite, quiet=quiet, force=True)
    described, records = _recorded(folder)
    return Again(
        run,
        described.get("data") == run.described["data"],
        results(described["result"], run.result, run.records[0].objective),
        tolerance,
        circumstances(described, run.described) if run.described["environment"] is not None else [],
        first_difference(records, run.records),
    )


def reruns(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    comm: Any = None,
    overwrite: bool = False,
    quiet: bool = True,
    tolerance: float = TOLERANCE,
) -> Iterator[tuple[Path, Again]]:
    """Make the runs in `folder` again, and yield each with the folder of its first run; collective as `rerun`.

    Parameters
    ----------
    folder
        That of a run, of a comparison, or of a solver in one.
    out
        The folder of the new run; of several, the one with their folders, named as in `folder`. Default: as in `rerun`.
    comm, overwrite, quiet, tolerance
        As in `rerun`.

    Raises
    ------
    InputError
        As `rerun` does for each run; for an unfinished one, before any is made again.
    """
    folder = Path(folder)
    places = runs_in(folder)
    for place in places:
        _recorded(place)
    for place in places:
        into = None if out is None else Path(out) / place.relative_to(folder)
        yield place, rerun(place, into, comm=comm, overwrite=overwrite, quiet=quiet, tolerance=tolerance)


def _default(folder: Path) -> Path:
    """Return the default folder of the new run; the runs of a comparison have different ones."""
    whole = folder.resolve()
    around = next((place for place in whole.parents if (place / folders.INDEX).exists()), None)
    parts = [whole.name] if around is None else whole.relative_to(around.parent).parts
    return Path("runs") / f"{'-'.join(parts)}-again"


def _recorded(folder: Path) -> tuple[dict[str, Any], list[Record]]:
    """Return the description and the records of a finished run."""
    described, records = folders.read(folder)
    if described["result"] is None:
        raise InputError(f"{folder}: the run has not finished; only a finished run can be made again and compared")
    return described, records


def _specification(folder: Path, out: Path, ranks: int) -> Specification:
    """Return the specification of the run in `folder`, to be run by so many processes and written to `out`."""
    described, _ = _recorded(folder)
    nodes = described.get("nodes", 1)
    if described.get("cluster") == "virtual":
        if ranks > 1:
            what = f"{folder}: the run was made on virtual nodes in one process"
            raise InputError(f"{what}, but {ranks} ranks were started; start it without mpiexec")
    elif ranks != nodes:
        start = f"mpiexec -n {nodes} hpcopt rerun" if nodes > 1 else "hpcopt rerun, without mpiexec,"
        were = f"was made on {nodes} rank{'s' * (nodes != 1)}, and this job has {ranks}"
        raise InputError(f"{folder}: the run {were}; start: {start} {folder}")
    tables = described["specification"]
    if tables.get("data", {}).get("source") == ARRAYS:
        raise InputError(f"{folder}: the rows of the run were arrays in memory; run it again from Python, with them")
    return specification_from(
        tables,
        [override("output.folder", str(out))],
        name=str(folder / folders.RUN),
        beside=Path(described.get("environment", {}).get("folder", "")),
    )
