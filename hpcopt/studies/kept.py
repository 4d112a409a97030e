"""The finished runs of a comparison that is continued: they are kept if they are the same runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError, Remedy
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster
from hpcopt.results import folder as folders
from hpcopt.results.record import Record
from hpcopt.runs.description import data_of
from hpcopt.runs.finished import Run, shared_runs
from hpcopt.runs.identity import difference, told, wanted
from hpcopt.runs.prepare import Prepared
from hpcopt.spec.labels import flat
from hpcopt.spec.specification import Specification
from hpcopt.studies.plan import Planned

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
            identity = wanted(spec.repeated(one.listed.seed).alone(one.variant, folder), cluster)
            change = difference(told(described), identity)
            if not change:
                found[place] = described, records
            elif not overwrite:
                raise InputError(f"{folder}: holds a finished run of another kind: {change}", Remedy.CHANGED)
    shared = shared_runs(found, cluster.processes)
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
                change = difference(dict(flat({"data": one.described.get("data") or {}})), dict(flat({"data": rows})))
                raise InputError(f"{one.run.folder}: holds a finished run on other data: {change}", Remedy.CHANGED)
    return same
