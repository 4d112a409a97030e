"""The runs of a comparison, made one after another; its tables are rewritten after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster
from hpcopt.results import folder as folders
from hpcopt.results.checked import Index
from hpcopt.results.choice import Contender, Criterion
from hpcopt.results.grids import best_rows, grid_rows
from hpcopt.results.tables import write_csv
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import execute
from hpcopt.runs.finished import Run
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.resuming import left_unfinished
from hpcopt.spec.specification import Specification
from hpcopt.studies.comparison import Comparison
from hpcopt.studies.countdown import Countdown
from hpcopt.studies.edges import edges
from hpcopt.studies.kept import Kept
from hpcopt.studies.plan import Planned, contenders_of


class Series:
    """Runs what is planned, one after another, and keeps the tables of what has ended.

    Parameters
    ----------
    planned
        The runs of the comparison.
    out
        Its folder.
    criterion
        What makes a run the best of a grid.
    cluster
        Its cluster.
    resume
        Whether runs in the folder are kept.
    quiet
        Whether to print nothing.
    """

    def __init__(
        self,
        planned: list[Planned],
        out: Path | None,
        criterion: Criterion,
        cluster: Cluster,
        *,
        resume: bool,
        quiet: bool,
    ) -> None:
        self._planned = planned
        self._listed = [one.listed for one in planned]
        self._out = out
        self._criterion = criterion
        self._processes = cluster.processes
        self._speaks = cluster.local_nodes[0] == 0
        # drawing takes as long as a short run, and nobody opens the pictures of dozens
        self._draws = len(planned) == len({one.variant.contender for one in planned})
        self._told = self._speaks and not quiet
        self._resume = resume
        self._has_begun = False
        self._title = ""
        self._runs: dict[int, Run] = {}
        self._countdown = Countdown(len(planned))

    def keep(self, kept: Mapping[int, Kept]) -> None:
        """Take runs that ended before; collective."""
        if not kept:
            return
        self._runs = {place: one.run for place, one in kept.items()}
        self._title = next(iter(kept.values())).described["problem"]
        if self._told:
            print(f"{len(kept)} of {len(self._planned)} runs are finished and kept", flush=True)
        with agreed(self._processes, one_tells=True):
            if self._out is not None and self._speaks and len(kept) == len(self._planned):
                folders.write_index(self._out, Index(runs=tuple(self._listed), best=self._criterion))
                _write_tables(self._contenders(), self._out)

    def tell_others(self) -> None:
        """Say which runs in the folder are not part of this comparison."""
        names = {one.folder for one in self._listed}
        left = [name for name in folders.readable(self._out) if name not in names] if self._told and self._out else []
        if left:
            what = f"{len(left)} of the runs in it are not part of this comparison and stay as they are"
            print(f"note: {self._out}: {what}", flush=True)

    def run(self, spec: Specification, prepared: Prepared, comm: Any) -> None:
        """Run all that is left, one seed after another: an early end leaves runs of every solver; collective."""
        self._title = prepared.words()
        self._countdown = Countdown(len(self._planned), len(self._runs))
        for seed in dict.fromkeys(one.seed for one in self._listed):
            left = [at for at, one in enumerate(self._listed) if one.seed == seed and at not in self._runs]
            if left:
                with _with_seed(seed, spec, prepared, comm) as (own, there):
                    for place in left:
                        self._run_one(place, own, there)

    def comparison(self) -> Comparison:
        """Return the runs that have ended; there must be one of each solver."""
        contenders = self._contenders()
        goal = contenders[0].cells[0].goal
        return Comparison(contenders, self._out, goal, self._title, _remarks(contenders, self._planned))

    def _run_one(self, place: int, spec: Specification, prepared: Prepared) -> None:
        one, out = self._planned[place], self._out
        folder = None if out is None else out / one.listed.folder
        alone = spec.alone(one.variant, folder)
        solver, quiet = one.variant.solver, not self._told
        resumed = None
        if self._resume and folder is not None:
            resumed = left_unfinished(alone, prepared, solver, folder, quiet=quiet)
        clear = partial(self._clear, folders.clear if resumed is None else resumed.clear)
        given = alone, prepared, one.label, solver, folder
        run = execute(*given, clear=clear, resumed=resumed, quiet=quiet, draws=self._draws)
        self._runs[place] = run.light()
        due = self._countdown.count()
        with agreed(self._processes, one_tells=True):
            if out is not None and self._speaks and due:
                _write_tables(self._contenders(), out)  # now, as the next solver may fail
        if self._told:
            print(self._countdown.told(run), flush=True)

    def _clear(self, clear: Callable[[Path], None], place: Path) -> None:
        """Prepare a run's folder by `clear`; before the first one also the comparison's, with the list of its runs."""
        out = self._out
        if out is not None and not self._has_begun:
            if self._resume:
                out.mkdir(parents=True, exist_ok=True)
            else:
                folders.clear(out)
            folders.write_index(out, Index(runs=tuple(self._listed), best=self._criterion))
        self._has_begun = True
        clear(place)

    def _contenders(self) -> list[Contender[Run]]:
        goal = next(iter(self._runs.values())).goal
        return contenders_of(self._listed, self._runs, goal, self._criterion)


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


def _write_tables(contenders: list[Contender[Run]], out: Path) -> None:
    write_csv(best_rows(contenders), out / folders.TABLE)
    if any(contender.is_grid for contender in contenders):
        write_csv(grid_rows(contenders), out / folders.GRID)
    else:
        (out / folders.GRID).unlink(missing_ok=True)  # of the comparison that is continued


def _remarks(contenders: list[Contender[Run]], planned: list[Planned]) -> list[str]:
    """Return what a reader of the tables should know about the grids."""
    lines = []
    for contender in contenders:
        own = [one.variant for one in planned if one.variant.contender == contender.label]
        variants = list({variant.label: variant for variant in own}.values())  # once for all seeds
        lines += [contender.missed()] if contender.missed() else []
        lines += edges(contender, variants) if contender.is_grid else []
    return lines
