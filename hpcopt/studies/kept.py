"""The finished runs of a comparison that is continued: they are kept if they are the same runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpcopt.annotations import shown
from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.results import folder as folders
from hpcopt.results.record import Record
from hpcopt.runs.description import data_of, origin_of
from hpcopt.runs.finished import Run
from hpcopt.runs.prepare import Prepared
from hpcopt.spec.labels import flat
from hpcopt.spec.specification import Specification, as_toml_dict
from hpcopt.studies.plan import Planned
from hpcopt.version import __version__

_FILES = (folders.RUN, folders.TRACE, folders.MODEL)  # of a run that is kept


@dataclass(frozen=True)
class Kept:
    """A finished run as its folder describes it."""

    described: dict[str, Any]
    run: Run


def kept_runs(
    spec: Specification, planned: Sequence[Planned], out: Path, cluster: Cluster, *, overwrite: bool
) -> dict[int, Kept]:
    """Return the finished runs by their places in the plan, the same on every process; collective.

    Parameters
    ----------
    overwrite
        Whether finished runs of another specification, and damaged ones, may be replaced.

    Raises
    ------
    InputError
        On every process: for a finished run of another specification, version, or number of nodes, or a damaged one,
        unless it may be replaced.
    """
    found: dict[int, tuple[dict[str, Any], list[Record]]] = {}
    with agreed(cluster.processes, one_tells=True):
        for place, one in enumerate(planned) if cluster.local_nodes[0] == 0 else ():
            folder = out / one.listed.folder
            if not all((folder / name).exists() for name in _FILES):
                continue
            try:
                described, records = folders.read(folder)
            except InputError as error:
                if overwrite:
                    continue
                raise InputError(str(error), Remedy.CHANGED) from None
            if described.get("result") is None or not folders.has_whole_trace(described, records):
                continue
            wanted = _wanted(spec.repeated(one.listed.seed).alone(one.variant, folder), cluster)
            change = _change(_own(described), wanted)
            if not change:
                found[place] = described, records
            elif not overwrite:
                raise InputError(f"{folder}: holds a finished run of another kind: {change}", Remedy.CHANGED)
    shared = _shared(found, cluster.processes)
    return {
        place: Kept(described, Run.of(described, records, out / planned[place].listed.folder))
        for place, (described, records) in shared.items()
    }


def on_same_data(kept: Mapping[int, Kept], prepared: Prepared, *, overwrite: bool) -> dict[int, Kept]:
    """Return the runs on the rows of the prepared problem; collective.

    Raises
    ------
    InputError
        On every process: for a run on other rows, unless it may be replaced.
    """
    rows = data_of(prepared)
    same = {place: one for place, one in kept.items() if one.described.get("data") == rows}
    with agreed(prepared.cluster.processes, one_tells=True):
        for place, one in kept.items():
            if place not in same and not overwrite:
                change = _change(dict(flat({"data": one.described.get("data") or {}})), dict(flat({"data": rows})))
                raise InputError(f"{one.run.folder}: holds a finished run on other data: {change}", Remedy.CHANGED)
    return same


def _wanted(spec: Specification, cluster: Cluster) -> dict[str, Any]:
    """Return what identifies a run, by key."""
    (variant,) = spec.variants
    described = {
        "hpcopt": __version__,
        "specification": as_toml_dict(spec),
        "cluster": cluster.kind,
        "nodes": cluster.size,
        **origin_of(variant.solver),
    }
    return _own(json.loads(json.dumps(described)))


def _own(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a run.json; the folder may have been moved."""
    keys = ("hpcopt", "cluster", "nodes", "solver_file", "solver_package")
    told = dict(flat({key: described[key] for key in keys if key in described} | described["specification"]))
    told.pop("output.folder", None)
    return told


def _change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first difference in words; empty if there is none."""
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            was, now = ("not given" if value is None else shown(value) for value in (old.get(key), new.get(key)))
            return f"{key} was {was}, and is {now}"
    return ""


def _shared(
    found: Mapping[int, tuple[dict[str, Any], list[Record]]], processes: Group
) -> Mapping[int, tuple[dict[str, Any], list[Record]]]:
    """Return what the first process has found, on every process."""
    if processes.size == 1:
        return found
    own = [(place, described, [record.line() for record in records]) for place, (described, records) in found.items()]
    text = processes.allgather(np.frombuffer(json.dumps(own).encode(), dtype=np.uint8))[0]
    return {
        place: (described, [Record.of(json.loads(line)) for line in lines])
        for place, described, lines in json.loads(bytes(text))
    }
