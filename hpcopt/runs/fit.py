"""From a data file to a model, with sensible defaults: implements `hpcopt fit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.fabric.agreement import agreed
from hpcopt.outputs import check_apart, check_file
from hpcopt.runs.admission import admit
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import execute
from hpcopt.runs.finished import Run
from hpcopt.runs.goal import with_goal
from hpcopt.runs.leaving import save_model
from hpcopt.runs.progress import ReadingProgress
from hpcopt.runs.start import announce
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.outside import load_file
from hpcopt.spec.specification import Specification, specification_from


def fit(
    data: str | Path,
    solver: str,
    output: str | Path,
    tables: Mapping[str, Mapping[str, Any]],
    overrides: Iterable[str] = (),
    *,
    comm: Any = None,
    quiet: bool = True,
    solver_file: str | Path | None = None,
) -> Run:
    """Fit a model to the rows of `data` and write it to `output`; collective over the ranks of `comm`.

    Parameters
    ----------
    tables
        Further tables of the specification ("problem", "stop", ...), and keys of "data".
    overrides
        `key.path=value` each; applied last, after the solver's `fit_defaults`.
    solver_file
        A Python file that registers the solver.

    Raises
    ------
    InputError
        In one line, on every rank, for any error in the arguments or the data.
    """
    output = Path(output)
    read = partial(_specification, data, solver, tables, overrides, solver_file)
    with opened(read, comm) as (spec, cluster, conditions):
        speaks = cluster.local_nodes[0] == 0
        with agreed(cluster.processes, one_tells=True):
            if speaks:
                check_file(output)
                check_apart([output], spec.files)
        with ReadingProgress(silent=quiet or not speaks):
            prepared = admit(spec, cluster, conditions, force=None, fitting=True)
        ((label, chosen),) = spec.labelled_solvers()
        if speaks and not quiet:
            announce(label, spec, prepared)
        prepared = with_goal(spec, prepared, quiet=quiet)
        run = execute(spec, prepared, label, chosen, None, quiet=quiet)
        run.phases.begin("write")
        with agreed(cluster.processes, one_tells=True):
            if speaks:
                save_model(run.model, output)
        run.phases.end()
        return run


def _specification(
    data: str | Path,
    solver: str,
    tables: Mapping[str, Mapping[str, Any]],
    overrides: Iterable[str],
    solver_file: str | Path | None,
) -> Specification:
    known = SOLVERS if solver_file is None else load_file(solver_file).solvers
    defaults = known[solver].fit_defaults if solver in known else {}
    file = {} if solver_file is None else {"solver_file": str(solver_file)}
    own = {"data": {"path": str(data), **tables.get("data", {})}, "solver": {"name": solver, **defaults}}
    return specification_from({**file, **tables, **own}, overrides=overrides)
