"""From a data file to a model with defaults that just work: what `hpcopt fit` does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.launch import abort_on_error
from hpcopt.runs.execute import Run, execute
from hpcopt.runs.prepare import open_cluster, prepare
from hpcopt.runs.specification import Specification, specification_from
from hpcopt.runs.start import announce
from hpcopt.solvers import SOLVERS


def fit(
    data: str | Path,
    solver: str,
    output: str | Path,
    overrides: Iterable[str] = (),
    *,
    comm: Any = None,
    quiet: bool = True,
) -> Run:
    """Fit a model to the rows of `data` and write it to `output`; collective over the ranks of `comm`.

    The solver starts with its `fit_defaults`; `overrides` come after them.

    Raises
    ------
    InputError
        In one line, on every rank: whatever is wrong with the arguments or the data.
    """
    output = Path(output)
    read = partial(_specification, data, solver, output, overrides)
    with abort_on_error():
        spec, cluster = open_cluster(read, comm)
        with closing(cluster):
            prepared = prepare(spec, cluster)
            ((label, chosen),) = spec.labelled_solvers()
            speaks = cluster.local_nodes[0] == 0
            if speaks and not quiet:
                announce(label, prepared)
            run = execute(spec, prepared, label, chosen, None, quiet=quiet)
            with agreed(cluster.processes):
                if speaks:
                    run.model.save(output)
            return run


def _specification(data: str | Path, solver: str, output: Path, overrides: Iterable[str]) -> Specification:
    if not output.resolve().parent.is_dir():
        raise InputError(f"{output}: its folder does not exist")
    tables = {
        "data": {"path": str(data)},
        "solver": {"name": solver, **(SOLVERS[solver].fit_defaults if solver in SOLVERS else {})},
    }
    return specification_from(tables, overrides=overrides)
