"""Several solvers on the same problem, cluster and start: one table, one picture, and a folder for each run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.fabric.agreement import agreed
from hpcopt.results import folder as folders
from hpcopt.results.checked import Index
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
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.progress import ReadingProgress
from hpcopt.runs.start import announce, checked_folder, kept_if_interrupted, reading, windows_for
from hpcopt.spec.specification import Specification
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
        course = _Course(planned, out, spec.criterion, quiet=quiet)
        with kept_if_interrupted(out):
            for seed in dict.fromkeys(one.seed for one in listed):  # so an early end leaves runs of every solver
                with _with_seed(seed, spec, prepared, comm) as (own, there):
                    for place, one in enumerate(listed):
                        if one.seed == seed:
                            course.run(place, own, there)
            contenders = course.contenders(prepared)
            comparison = Comparison(contenders, out, prepared.goal, prepared.words(), _remarks(contenders, planned))
            if out is not None and speaks:
                _draw(comparison, out)
        return comparison


@contextmanager
def _with_seed(
    seed: int, spec: Specification, prepared: Prepared, comm: Any
) -> Iterator[tuple[Specification, Prepared]]:
    """Yield the specification and the problem with another seed; the data are not read again."""
    own = spec.repeated(seed)
    if seed == spec.seed:
        yield own, prepared
        return
    with opened(lambda: own, comm) as (_, cluster, conditions):
        yield own, prepared.repeated(own, cluster, conditions)


class _Course:
    """Runs what is planned, one after another, and keeps the tables of what has ended.

    Parameters
    ----------
    planned
        The runs of the comparison.
    out
        Its folder.
    criterion
        What makes a run the best of a grid.
    quiet
        Whether to print nothing.
    """

    def __init__(self, planned: list[Planned], out: Path | None, criterion: Criterion, *, quiet: bool) -> None:
        self._planned = planned
        self._listed = [one.listed for one in planned]
        self._out = out
        self._criterion = criterion
        self._quiet = quiet
        self._runs: dict[int, Run] = {}
        self._countdown = Countdown(len(planned))

    def run(self, place: int, spec: Specification, prepared: Prepared) -> None:
        """Run the one at `place`, with the specification and the problem of its seed; collective."""
        one, out = self._planned[place], self._out
        folder = None if out is None else out / one.listed.folder
        clear = folders.clear
        if out is not None and not self._runs:
            clear = partial(_begin, out, Index(runs=tuple(self._listed), best=self._criterion))
        alone = spec.alone(one.variant, folder)
        run = execute(alone, prepared, one.label, one.variant.solver, folder, clear=clear, quiet=self._quiet)
        self._runs[place] = run
        speaks, due = prepared.cluster.local_nodes[0] == 0, self._countdown.count()
        with agreed(prepared.cluster.processes, one_tells=True):
            if out is not None and speaks and due:
                _write_tables(self.contenders(prepared), out)  # now, as the next solver may fail
        if speaks and not self._quiet:
            print(self._countdown.told(run), flush=True)

    def contenders(self, prepared: Prepared) -> list[Contender[Run]]:
        """Return the solvers with the runs that have ended."""
        return contenders_of(self._listed, self._runs, prepared.goal, self._criterion)


def _begin(out: Path, index: Index, place: Path) -> None:
    """Clear the comparison's folder, which contains the first run's folder `place`, and write the list of its runs."""
    folders.clear(out)
    folders.write_index(out, index)
    folders.clear(place)


def _write_tables(contenders: list[Contender[Run]], out: Path) -> None:
    write_csv(best_rows(contenders), out / folders.TABLE)
    if any(contender.is_grid for contender in contenders):
        write_csv(grid_rows(contenders), out / folders.GRID)


def _remarks(contenders: list[Contender[Run]], planned: list[Planned]) -> list[str]:
    """Return what a reader of the tables should know about the grids."""
    lines = []
    for contender in contenders:
        own = [one.variant for one in planned if one.variant.contender == contender.label]
        variants = list({variant.label: variant for variant in own}.values())  # once for all seeds
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
