"""Several solvers on the same problem, cluster and start: one table, one picture, and a folder for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.fabric.agreement import agreed
from hpcopt.results import folder as folders
from hpcopt.results.checked import Index, ListedRun
from hpcopt.results.choice import Contender, Criterion
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.grids import best_rows, grid_rows
from hpcopt.results.plots import draw_compare
from hpcopt.results.tables import write_csv
from hpcopt.runs.admission import admit
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import Run, execute
from hpcopt.runs.goal import with_goal
from hpcopt.runs.pictures import drawn_last
from hpcopt.runs.progress import ReadingProgress
from hpcopt.runs.start import announce, checked_folder, kept_if_interrupted, reading, windows_for
from hpcopt.studies.countdown import Countdown
from hpcopt.studies.edges import edges
from hpcopt.studies.plan import Planned, contenders_of, plan


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    Attributes
    ----------
    contenders
        The runs of each of [[solvers]], in order: the cells of its grid, and the best of them.
    folder
        The output folder; None if nothing was to be written.
    goal
        The measure by which they are judged.
    title
        The problem and the nodes.
    remarks
        What a reader of the tables should know, a line each: a grid of which the best value is the largest, ...
    """

    contenders: list[Contender[Run]]
    folder: Path | None
    goal: Goal
    title: str
    remarks: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[Run]:
        """All runs, in order."""
        return [run for contender in self.contenders for cell in contender.cells for run in cell.runs]

    @property
    def best(self) -> list[Run]:
        """The runs of each contender's best cell, in order."""
        return [run for contender in self.contenders for run in contender.best.runs]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of compare.csv."""
        return best_rows(self.contenders)

    def grid_rows(self) -> list[dict[str, Any]]:
        """Return the rows of grid.csv."""
        return grid_rows(self.contenders)


def compare(
    specification: str | Path | Mapping[str, Any],
    *,
    comm: Any = None,
    overrides: Iterable[str] = (),
    folder: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = True,
    force: bool = False,
) -> Comparison:
    """Run every solver of the specification; collective over the ranks of `comm`. Parameters as in `hpcopt.run`.

    Raises
    ------
    InputError
        In one line, on every rank, for any error in the specification, the data or the folder.
    """
    read = partial(reading, specification, overrides, folder, many=True)
    with opened(read, comm) as (spec, cluster, conditions):
        planned = plan(spec)
        listed = [one.listed for one in planned]
        names = [one.folder for one in listed]
        out = checked_folder(specification, spec, cluster, names, overwrite=overwrite)
        with ReadingProgress(silent=quiet or cluster.local_nodes[0] != 0):
            prepared = admit(spec, cluster, conditions, force=force)
        windows = windows_for(spec.labelled_solvers(), cluster)
        speaks = cluster.local_nodes[0] == 0
        if speaks and not quiet:
            announce("comparison", spec, prepared, windows)
        prepared = with_goal(spec, prepared)
        runs: dict[int, Run] = {}
        countdown = Countdown(len(planned))
        with kept_if_interrupted(out):
            for place, (one, name) in enumerate(zip(planned, names, strict=True)):
                folder = None if out is None else out / name
                clear = partial(_begin, out or Path(), listed, spec.criterion) if not runs else folders.clear
                alone = spec.alone(one.variant, folder)
                runs[place] = execute(
                    alone, prepared, one.variant.label, one.variant.solver, folder, clear=clear, quiet=quiet
                )
                contenders = contenders_of(listed, runs, prepared.goal, spec.criterion)
                due = countdown.count()
                with agreed(cluster.processes, one_tells=True):
                    if out is not None and speaks and due:
                        _write_tables(contenders, out)  # now, as the next solver may fail
                if speaks and not quiet:
                    print(countdown.told(runs[place]), flush=True)
            comparison = Comparison(contenders, out, prepared.goal, prepared.words(), _remarks(contenders, planned))
            if out is not None and speaks:
                _draw(comparison, out)
        return comparison


def _begin(out: Path, listed: list[ListedRun], criterion: Criterion, place: Path) -> None:
    """Clear the comparison's folder, which contains the first run's folder `place`, and write the list of its runs."""
    folders.clear(out)
    folders.write_index(out, Index(runs=tuple(listed), best=criterion))
    folders.clear(place)


def _write_tables(contenders: list[Contender[Run]], out: Path) -> None:
    write_csv(best_rows(contenders), out / folders.TABLE)
    if any(contender.is_grid for contender in contenders):
        write_csv(grid_rows(contenders), out / folders.GRID)


def _remarks(contenders: list[Contender[Run]], planned: list[Planned]) -> list[str]:
    """Return what a reader of the tables should know about the grids."""
    lines = []
    for contender in contenders:
        variants = [one.variant for one in planned if one.variant.contender == contender.label]
        lines += [contender.missed()] if contender.missed() else []
        lines += edges(contender, variants) if contender.is_grid else []
    return lines


def _draw(comparison: Comparison, out: Path) -> None:
    """Draw the picture."""
    picture = out / folders.COMPARISON
    with drawn_last(picture):
        best = [contender.best for contender in comparison.contenders]
        curves = [Curve(cell.label, [run.records for run in cell.runs]) for cell in best]
        draw_compare(curves, picture, comparison.title, comparison.goal)
