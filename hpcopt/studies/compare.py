"""Several solvers on the same problem, cluster and start: one table, one picture, and a folder for each run."""

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
from hpcopt.results.curves import Curve
from hpcopt.results.goal import Goal
from hpcopt.results.plots import draw_compare
from hpcopt.results.tables import compare_rows, write_csv
from hpcopt.runs.admission import admit
from hpcopt.runs.cluster import opened
from hpcopt.runs.execute import Run, execute
from hpcopt.runs.goal import with_goal
from hpcopt.runs.pictures import drawn_last
from hpcopt.runs.progress import ReadingProgress
from hpcopt.runs.start import announce, checked_folder, kept_if_interrupted, reading, windows_for

LONGEST_NAME = 200  # bytes of a folder's name; file systems allow 255


@dataclass(frozen=True)
class Comparison:
    """Finished runs side by side.

    Attributes
    ----------
    goal
        The measure by which they are judged.
    title
        The problem and the nodes.
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
        In one line, on every rank, for any error in the specification, the data or the folder.
    """
    read = partial(reading, specification, overrides, folder, many=True)
    with opened(read, comm) as (spec, cluster, conditions):
        solvers = spec.labelled_solvers()
        names = _folder_names([label for label, _ in solvers])
        out = checked_folder(specification, spec, cluster, names, overwrite=overwrite)
        with ReadingProgress(silent=quiet or cluster.local_nodes[0] != 0):
            prepared = admit(spec, cluster, conditions, force=force)
        windows = windows_for(solvers, cluster)
        speaks = cluster.local_nodes[0] == 0
        if speaks and not quiet:
            announce("comparison", spec, prepared, windows)
        prepared = with_goal(spec, prepared)
        runs: list[Run] = []
        comparison = Comparison(runs, out, prepared.goal, prepared.words())
        with kept_if_interrupted(out):
            for (label, solver), name in zip(solvers, names, strict=True):
                place = None if out is None else out / name
                clear = folders.clear if runs else partial(_begin, names)
                runs.append(execute(spec, prepared, label, solver, place, clear=clear, quiet=quiet))
                with agreed(cluster.processes, one_tells=True):
                    if out is not None and speaks:
                        write_csv(comparison.rows(), out / folders.TABLE)  # now, as the next solver may fail
                if speaks and not quiet:
                    print(f"{label}: {runs[-1].status.value}", flush=True)
            if out is not None and speaks:
                _draw(comparison, out)
        return comparison


def _folder_names(labels: list[str]) -> list[str]:
    """Return a unique name for each run's folder: its label without characters that file systems reject."""
    names: list[str] = []
    for label in labels:
        known = label.encode(sys.getfilesystemencoding(), "replace").decode(sys.getfilesystemencoding())
        letters = re.sub(r"[^\w.=-]+", "-", known).strip("-.") or "run"
        name = letters.encode()[:LONGEST_NAME].decode(errors="ignore")
        taken = {other.lower() for other in names}
        candidates = (name if again == 1 else f"{name}-{again}" for again in itertools.count(1))
        names.append(next(candidate for candidate in candidates if candidate.lower() not in taken))
    return names


def _begin(names: list[str], place: Path) -> None:
    """Clear the comparison's folder, which contains the first run's folder `place`, and write the list of its runs."""
    folders.clear(place.parent)
    folders.write_json(place.parent / folders.INDEX, {"runs": names})
    folders.clear(place)


def _draw(comparison: Comparison, out: Path) -> None:
    """Draw the picture."""
    picture = out / folders.COMPARISON
    with drawn_last(picture):
        draw_compare(
            [Curve(run.label, [run.records]) for run in comparison.runs], picture, comparison.title, comparison.goal
        )
