"""The contents of run.json: what runs where, with which versions, and how it ended."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from hpcopt.fabric.interface import Cluster
from hpcopt.fabric.launch import mpi_library
from hpcopt.results.outcome import Outcome
from hpcopt.results.record import WHERE_THERE, finite
from hpcopt.runs.environment import environment_of, told_by_all
from hpcopt.runs.prepare import Prepared
from hpcopt.solvers import SOLVERS, Solver
from hpcopt.solvers.outside import file_of
from hpcopt.spec.specification import Specification, as_toml_dict
from hpcopt.version import __version__

_TOTALS = ("bytes_up", "bytes_down", "model_bytes", "edge_bytes", "slots", "bytes_by_link")
VERSIONS = ("numpy", "scipy", "numba", "mpi4py", "greenlet", "scikit-learn")


def describe(
    spec: Specification, prepared: Prepared, label: str, solver: Solver[Any], *, written: bool
) -> dict[str, Any]:
    """Return the contents of run.json during the run; collective.

    Parameters
    ----------
    written
        Whether this process writes it; the others know no `environment`.
    """
    cluster, conditions = prepared.cluster, prepared.conditions
    told = told_by_all(cluster.processes)
    hosts = [one["host"] for one in told]
    windows = cluster.probe_windows() if solver.needs.pace == "own" else None
    heterogeneity = conditions.heterogeneity.words(cluster.size)
    hubs = conditions.hubs
    mixing = conditions.mixing if solver.needs.topology == "graph" else None
    return {
        "hpcopt": __version__,
        "label": label,
        "solver": type(solver).name,
        **origin_of(solver),
        "problem": prepared.words(),
        "data": data_of(prepared),
        "specification": as_toml_dict(spec),
        **({"optimum": prepared.optimum.as_dict()} if prepared.optimum is not None else {}),
        **({"target": prepared.goal.target} if prepared.goal.target is not None else {}),
        "seed": spec.seed,
        "cluster": cluster.kind,
        "nodes": cluster.size,
        **calibration_of(spec, cluster),
        **({"topology": mixing.words()} if mixing is not None else {}),
        **({"hubs": hubs.words(), "hub_ranks": list(hubs.hubs)} if hubs is not None else {}),
        **({"heterogeneity": heterogeneity} if heterogeneity else {}),
        **({"faults": [fault.text for fault in conditions.faults]} if conditions.faults else {}),
        **({"windows": windows.removeprefix("windows: ")} if windows is not None else {}),
        "clock": cluster.clock,
        "oversubscribed": cluster.crowding is not None,
        "mpi": mpi_library(),
        "hosts": hosts if len(set(hosts)) > 1 else hosts[:1],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "environment": environment_of(spec, told) if written else None,
        "started": now(),
        "result": None,
    }


def now() -> str:
    """Return the date and the time."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def data_of(prepared: Prepared) -> dict[str, Any]:
    """Return what identifies the rows of a run."""
    return {key: getattr(prepared.loaded, key) for key in ("name", "rows", "features", "checksum")}


def origin_of(solver: Solver[Any]) -> dict[str, Any]:
    """Return the origin of an external solver: its file, or the package that provides it."""
    file, package = file_of(type(solver)), SOLVERS.packages.get(solver.name)
    if file is not None:
        return {"solver_file": {"name": Path(file.path).name, "sha256": file.sha256}}
    return {} if package is None else {"solver_package": package}


def calibration_of(spec: Specification, cluster: Cluster) -> dict[str, Any]:
    """Return what identifies the calibration that the times of virtual nodes depend on, if they do."""
    given = spec.cluster.calibration
    if given is None or cluster.kind != "virtual":
        return {}
    path = Path(given)
    return {"calibration": {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}


def result_of(outcome: Outcome, departures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the "result" of run.json: how the run ended, the numbers of the final model, and who left when."""
    last = outcome.last
    kept = outcome.record.as_dict() | {key: value for key, value in last.as_dict().items() if key in _TOTALS}
    result = {
        "status": outcome.status.name.lower(),
        "message": outcome.status.value,
        "reached": outcome.status.reached,
        "rounds": last.round,
        "iterations": last.iteration,
        "seconds": last.seconds,
        "bytes": last.bytes,
        "messages": last.messages,
        "work": last.work,
        **{column: kept[column] for column in ("objective", "grad_norm", *WHERE_THERE) if column in kept},
        **({"departures": departures} if departures else {}),
    }
    return finite(result)
