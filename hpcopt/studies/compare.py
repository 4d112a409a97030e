"""Several solvers on the same problem, cluster and start: one table, one picture, a run's folder for each."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.fabric.agreement import agreed
from hpcopt.results import folder as folders
from hpcopt.results.goal import Goal
from hpcopt.results.plots import draw_compare
from hpcopt.results.tables import compare_rows, write_csv
from hpcopt.runs.admission import admit
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import Run, execute
from hpcopt.runs.pictures import drawn_last
from hpcopt.runs.start import announce, checked_folder, cleared, kept_if_interrupted, reading, windows_for


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    Attributes
    ----------
    goal
        What they are judged by.
    title
        What is solved where.
    """

    runs: list[Run]
    folder: Path | None
    goal: Goal
    title: str

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of compare.csv."""
        return compare_rows(self.runs, self.goal)


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
        In one line, on every rank: whatever is wrong with the specification, the data or the folder.
    """
    read = partial(reading, specification, overrides, folder, many=True)
    with opened(read, comm) as (spec, cluster, conditions):
        out = checked_folder(spec, cluster, overwrite=overwrite)
        prepared = admit(spec, cluster, conditions, force=force)
        solvers = spec.labelled_solvers()
        windows = windows_for(solvers, cluster)
        places = _places(out, [label for label, _ in solvers])
        speaks = cluster.local_nodes[0] == 0
        if speaks and not quiet:
            announce("comparison", spec, prepared, windows)
        cleared(out, cluster)
        with agreed(cluster.processes, one_tells=True):
            if out is not None and speaks:
                _make(out, places, overwrite=overwrite)
        with kept_if_interrupted(out):
            runs = []
            for (label, solver), place in zip(solvers, places, strict=True):
                runs.append(execute(spec, prepared, label, solver, place, quiet=quiet))
                if speaks and not quiet:
                    print(f"{label}: {runs[-1].status.value}", flush=True)
            comparison = Comparison(runs, out, spec.goal, prepared.words())
            with agreed(cluster.processes, one_tells=True):
                if out is not None and speaks:
                    _leave(comparison, out)
        return comparison


def _places(out: Path | None, labels: list[str]) -> list[Path | None]:
    """Return the folder of each run: its label, without what file systems dislike, and no two the same."""
    names: list[str] = []
    for label in labels:
        known = label.encode(sys.getfilesystemencoding(), "replace").decode(sys.getfilesystemencoding())
        name = re.sub(r"[^\w.=-]+", "-", known).strip("-.") or "run"
        taken = {other.lower() for other in names}
        places = (name if again == 1 else f"{name}-{again}" for again in itertools.count(1))
        names.append(next(place for place in places if place.lower() not in taken))
    return [None if out is None else out / name for name in names]


def _make(out: Path, places: list[Path | None], *, overwrite: bool) -> None:
    """Make the runs' folders and the list of them."""
    inner = [place for place in places if place is not None]
    for place in inner:
        folders.check(place, overwrite=overwrite)
    folders.write_json(out / folders.INDEX, {"runs": [place.name for place in inner]})
    for place in inner:
        folders.clear(place)


def _leave(comparison: Comparison, out: Path) -> None:
    """Write the table and the picture."""
    write_csv(comparison.rows(), out / folders.TABLE)
    picture = out / folders.COMPARISON
    with drawn_last(picture):
        draw_compare([(run.label, run.records) for run in comparison.runs], picture, comparison.title, comparison.goal)
