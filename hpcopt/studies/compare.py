"""Several solvers on the same problem, cluster and start: one table, one picture, a run's folder for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.errors import MissingLibraryError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.launch import abort_on_error
from hpcopt.reports.plots import draw_compare
from hpcopt.reports.tables import compare_rows, write_csv
from hpcopt.runs import folder as folders
from hpcopt.runs.execute import Run, execute
from hpcopt.runs.prepare import open_cluster, prepare
from hpcopt.runs.start import announce, claimed, reading


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    Attributes
    ----------
    target
        The objective to be reached; None if the stop rules name none.
    """

    runs: list[Run]
    folder: Path | None
    target: float | None
    title: str

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of compare.csv."""
        return compare_rows(self.runs, self.target)


def compare(
    specification: str | Path | Mapping[str, Any],
    *,
    comm: Any = None,
    overrides: Iterable[str] = (),
    folder: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Comparison:
    """Run every solver of the specification; collective over the ranks of `comm`. Parameters as in `hpcopt.run`.

    Raises
    ------
    InputError
        In one line, on every rank: whatever is wrong with the specification, the data or the folder.
    """
    read = partial(reading, specification, overrides, folder, many=True)
    with abort_on_error():
        spec, cluster = open_cluster(read, comm)
        with closing(cluster):
            out = claimed(spec, cluster, overwrite=overwrite)
            prepared = prepare(spec, cluster)
            speaks = cluster.local_nodes[0] == 0
            if speaks and not quiet:
                announce("comparison", prepared)
            runs = []
            for label, solver in spec.labelled_solvers():
                inner = None if out is None else out / _file_name(label)
                with agreed(cluster.processes):
                    if inner is not None and speaks:
                        folders.claim(inner, overwrite=overwrite)
                runs.append(execute(spec, prepared, label, solver, inner, quiet=quiet))
                if speaks and not quiet:
                    print(f"{label}: {runs[-1].status.value}", flush=True)
            comparison = Comparison(runs, out, spec.stop.target, prepared.words())
            with agreed(cluster.processes):
                if out is not None and speaks:
                    _leave(comparison, out)
            return comparison


def _file_name(label: str) -> str:
    """Return the label as a folder's name."""
    return re.sub(r"[^\w.=-]+", "-", label).strip("-")


def _leave(comparison: Comparison, out: Path) -> None:
    """Write the table and the picture."""
    write_csv(comparison.rows(), out / folders.TABLE)
    curves = [(run.label, run.trace) for run in comparison.runs]
    try:
        draw_compare(curves, out / folders.COMPARISON, title=comparison.title, target=comparison.target)
    except MissingLibraryError as error:
        print(f"hpcopt: {folders.COMPARISON} not drawn: {error}")
