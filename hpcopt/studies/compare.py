"""Several solvers on the same problem, cluster and start: one table, one picture, and a folder for each run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hpcopt.results import folder as folders
from hpcopt.results.plots import draw_compare
from hpcopt.runs.admission import admit
from hpcopt.runs.cluster import opened
from hpcopt.runs.goal import with_goal
from hpcopt.runs.pictures import drawn_last
from hpcopt.runs.progress import ReadingProgress
from hpcopt.runs.start import announce, checked_folder, early_requests, kept_if_interrupted, reading, windows_for
from hpcopt.studies.comparison import Comparison
from hpcopt.studies.kept import kept_runs, on_same_data
from hpcopt.studies.plan import plan
from hpcopt.studies.series import Series


def compare(
    specification: str | Path | Mapping[str, Any],
    *,
    comm: Any = None,
    overrides: Iterable[str] = (),
    folder: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    quiet: bool = True,
    force: bool = False,
) -> Comparison:
    """Run every solver of the specification; collective over the ranks of `comm`.

    Parameters
    ----------
    resume
        Whether to keep the finished runs of the same comparison in the folder; only the others are run, an interrupted
        one from its checkpoint, if it has one. With `overwrite`, finished runs of another specification are replaced.
    specification, comm, overrides, folder, overwrite, quiet, force
        As in `hpcopt.run`.

    Raises
    ------
    InputError
        In one line, on every rank, for any error in the specification, the data or the folder.
    """
    read = partial(reading, specification, overrides, folder, many=True)
    with opened(read, comm) as (spec, cluster, conditions):
        planned = plan(spec)
        names = [one.listed.folder for one in planned]
        out = checked_folder(specification, spec, cluster, names, overwrite=overwrite, resume=resume)
        kept = kept_runs(spec, planned, out, cluster, overwrite=overwrite) if resume and out is not None else {}
        speaks = cluster.local_nodes[0] == 0
        told = speaks and not quiet
        series = Series(planned, out, spec.criterion, cluster, resume=resume, quiet=quiet)
        if resume:
            series.tell_others()
        with kept_if_interrupted(out), early_requests(out):
            if len(kept) == len(planned):
                series.keep(kept)
            else:
                with ReadingProgress(silent=not told):
                    prepared = admit(spec, cluster, conditions, force=force)
                kept = on_same_data(kept, prepared, overwrite=overwrite)
                windows = windows_for(spec.labelled_solvers(), cluster)
                if told:
                    announce("comparison", spec, prepared, windows)
                series.keep(kept)
                series.run(spec, with_goal(spec, prepared, quiet=quiet), comm)
            comparison = series.comparison()
            if out is not None and speaks:
                _draw(comparison, out)
        return comparison


def _draw(comparison: Comparison, out: Path) -> None:
    """Draw the picture."""
    picture = out / folders.COMPARISON
    with drawn_last(picture):
        draw_compare(comparison.curves, picture, comparison.title, comparison.goal)
