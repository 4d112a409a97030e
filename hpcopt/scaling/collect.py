"""From the folders of finished points to the rows of points.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.results.operations import read_operations
from hpcopt.results.tables import write_csv
from hpcopt.scaling.commands import again
from hpcopt.scaling.folder import TABLE
from hpcopt.scaling.gates import faults
from hpcopt.scaling.points import Point
from hpcopt.scaling.rows import Row
from hpcopt.scaling.status import Finished, finished
from hpcopt.scaling.study import Study
from hpcopt.spec.fingerprint import fingerprint

_MOST_NAMED = 3  # hosts


def collect(study: Study, points: Sequence[Point]) -> list[Row]:
    """Return the rows of the finished points, in the order of the study, each with what is wrong with it.

    Raises
    ------
    InputError
        If none has finished.
    """
    found = [(point, run) for point in points if (run := finished(point, study.folder)) is not None]
    if not found:
        raise InputError(f"{study.folder}: no point of the study has finished; hpcopt scaling submit starts them")
    rows = [_row(study, point, run) for point, run in found]
    told = faults(rows, study.table)
    return [replace(row, faults="; ".join(told[row.point])) for row in rows]


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    """Write points.csv to the folder of a study; return its path."""
    write_csv([asdict(row) for row in rows], folder / TABLE)
    return folder / TABLE


def _row(study: Study, point: Point, run: Finished) -> Row:
    described, result, place = run.described, run.result, point.place
    hosts = described.get("environment", {}).get("hosts", [])
    values: dict[str, Any] = {
        **{key: described.get("data", {}).get(key) for key in ("rows", "features", "checksum")},
        **{key: result.get(key) or 0 for key in ("iterations", "rounds", "seconds", "bytes", "messages")},
        **{key: result.get(key) for key in ("status", "work", "objective", "grad_norm")},
        **_split(study.folder / point.name, described),
    }
    return Row(
        point=point.name,
        series=point.series,
        solver=point.solver.name,
        topology=described.get("topology", ""),
        cluster=place.cluster,
        clock=described.get("clock", ""),
        ranks=place.ranks,
        threads=place.threads,
        cores=place.cores,
        seed=point.spec.seed,
        repeat=point.repeat,
        budget=point.budget,
        **values,
        reached=bool(result.get("reached")),
        elapsed=run.elapsed,
        oversubscribed=bool(described.get("oversubscribed")),
        is_exact=point.solver.any_nodes,
        asynchronous=point.solver.needs.pace == "own",
        host=_hosts([str(host.get("host", "")) for host in hosts]),
        cpu="; ".join(dict.fromkeys(str(host.get("cpu", "")) for host in hosts)),
        mpi=described.get("mpi") or "",
        hpcopt=described.get("hpcopt", ""),
        started=described.get("started", ""),
        fingerprint=fingerprint(point.spec),
        command=again(point.name, place.cluster, place.ranks, place.threads),
    )


def _hosts(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return " ".join(names[:_MOST_NAMED]) + more


def _split(folder: Path, described: Mapping[str, Any]) -> dict[str, float | None]:
    """Return where the time of a run's nodes went; nothing if it has no table of operations, or a damaged one."""
    try:
        table = read_operations(folder, described)
    except InputError:
        table = None
    if table is None:
        return {}
    times = table.times()
    return {
        "compute": float(times.compute.mean()),
        "compute_max": float(times.compute.max()),
        "wait": float(times.wait.mean()) if table.knows_waiting else None,
        "exchange": float(times.exchange.mean()),
        "other": float(times.other.mean()),
    }
