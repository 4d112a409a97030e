"""The report of a study: tables and pictures of what has finished, and one file with everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcopt.files import written_whole
from hpcopt.results.document import as_markdown
from hpcopt.scaling.archive import archive
from hpcopt.scaling.cells import Curve, curves_of
from hpcopt.scaling.collect import collect, write_rows
from hpcopt.scaling.folder import PICTURES, REPORT, SPLIT
from hpcopt.scaling.machine import machine
from hpcopt.scaling.picture import draw_curves, draw_split
from hpcopt.scaling.points import Point
from hpcopt.scaling.sections import Findings, sections
from hpcopt.scaling.status import Stage, Standing, finished
from hpcopt.scaling.study import Study


def report(study: Study, points: Sequence[Point], stands: Mapping[str, Standing]) -> list[Path]:
    """Write points.csv, the report, its pictures and the archive; return their paths.

    Raises
    ------
    InputError
        If no point has finished; if a file can't be written.
    """
    rows = collect(study, points)
    files = [write_rows(study.folder, rows)]
    curves = curves_of(rows, study.table)
    described = _described(study, points)
    title = f"{study.name}: {study.table.kind} scaling, {_problem(study, described)}"
    files += _drawn(study, curves, title)
    pictures = [(path, _SHOWS[path.name]) for path in files if path.name in _SHOWS]
    left = [f"{one.stage.value}: {name}{f': {one.why}' if one.why else ''}" for name, one in stands.items()]
    missing = [line for line, one in zip(left, stands.values(), strict=True) if one.stage is not Stage.DONE]
    calibration = study.specification.cluster.calibration or ""
    found = Findings(rows, curves, study.table, len(points), missing, machine(described), calibration)
    with written_whole(study.folder / REPORT) as file:
        file.write(as_markdown(title, sections(found, pictures)))
    return [*files, study.folder / REPORT, archive(study, [row.point for row in rows])]


def _drawn(study: Study, curves: Sequence[Curve], title: str) -> Iterator[Path]:
    """Draw the pictures, and yield their files."""
    for name in PICTURES if curves else ():
        draw_curves(curves, study.table, study.folder / name, title)
        yield study.folder / name
    for name in SPLIT if curves else ():
        if draw_split(curves, study.folder / name, "Where the time went"):
            yield study.folder / name


_SHOWS = {
    PICTURES[0]: "time, speed-up and efficiency over the number of ranks",
    SPLIT[0]: "where the time of a node went: compute, wait, exchange, other",
}


def _problem(study: Study, described: Mapping[str, Any]) -> str:
    """Return what all points have in common: not the cluster and, if they differ, not the number of rows."""
    whole = str(described["problem"]).partition(" on ")[0]
    return whole if study.table.kind == "strong" else str(described.get("data", {}).get("name", ""))


def _described(study: Study, points: Sequence[Point]) -> Mapping[str, Any]:
    """Return the run.json of the finished point with the most ranks: that of the whole machine."""
    found = sorted(points, key=lambda point: (not point.place.is_virtual, point.place.ranks), reverse=True)
    return next(run.described for point in found if (run := finished(point, study.folder)) is not None)
