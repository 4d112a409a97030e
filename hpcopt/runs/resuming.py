"""Resuming a run: what its folder holds, and the last complete checkpoint in it, read and checked.

Nothing is changed before all of it is known to be usable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpcopt.errors import AgreedError, InputError, Remedy
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster
from hpcopt.results import checked, trace_file
from hpcopt.results import checkpoints as files
from hpcopt.results import folder as folders
from hpcopt.results.checkpoints import Manifest
from hpcopt.results.record import Record
from hpcopt.results.stopping import Status
from hpcopt.results.terminal import warn
from hpcopt.runs.checkpoint import Snapshot
from hpcopt.runs.description import now
from hpcopt.runs.finished import Run, shared_runs
from hpcopt.runs.identity import difference, told, wanted
from hpcopt.runs.moved import moved
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.subject import Subject, versions
from hpcopt.runs.texts import everyones, the_firsts
from hpcopt.solvers.base import Solver
from hpcopt.spec.specification import Specification, as_toml_dict

MAY_DIFFER = ("stop", "nodes", "cluster.workers", "output.timeline", "output.operations")
"""Tables and keys that a resumed run may have others of."""

_HOW = {
    "rounds": "",
    "replayed": "; the run is repeated silently up to there, and compared with it",
    "restarted": "; the nodes start again from states that belong together, so that the run is not the same bit by bit",
}


@dataclass(frozen=True)
class Resumed:
    """The part of a run before it is resumed.

    Attributes
    ----------
    manifest
        The manifest of its checkpoint.
    snapshots
        Node -> snapshot, for the nodes of this process.
    records
        The records up to there, on every process; None if the trace was lost.
    described
        Its run.json.
    """

    manifest: Manifest
    snapshots: dict[int, Snapshot]
    records: list[Record] | None
    described: dict[str, Any]

    def history(self, nodes: int) -> dict[str, Any]:
        """Return what run.json says about the parts of the run, before this one on so many nodes begins."""
        part = {"iteration": self.manifest.iteration, "nodes": nodes, "started": now()}
        return {"started": self.described.get("started"), "resumed": [*self.described.get("resumed", []), part]}

    def clear(self, folder: Path) -> None:
        """Prepare the run's folder for the rest of the run."""
        folders.clear_for_more(folder, self.manifest.iteration)
        if self.manifest.trace is not None:
            trace_file.cut(folder, self.manifest.trace)


def finished(spec: Specification, cluster: Cluster, out: Path) -> Run | None:
    """Return the run in `out` if it has ended and there is nothing more to do; collective.

    Raises
    ------
    InputError
        On every process: if `out` holds another run, or one that has ended and can't go on under other stop rules.
    """
    found: dict[int, tuple[dict[str, Any], list[Record]]] = {}
    with agreed(cluster.processes, one_tells=True):
        if cluster.local_nodes[0] == 0 and (out / folders.RUN).exists():
            described = checked.description(out / folders.RUN)
            change = difference(told(described, MAY_DIFFER), wanted(spec, cluster, MAY_DIFFER))
            if change:
                raise InputError(f"{out}: holds another run: {change}", Remedy.AFRESH)
            if described["result"] is not None and not _goes_on(spec, out, described):
                if not (out / folders.TRACE).exists():
                    raise InputError(f"{out}: the run is finished, but its trace is missing", Remedy.AFRESH)
                found[0] = described, checked.records(out / folders.TRACE)
    runs = shared_runs(found, cluster.processes)
    return Run.of(*runs[0], out) if runs else None


def _goes_on(spec: Specification, out: Path, described: Mapping[str, Any]) -> bool:
    """Return whether a run that has ended is to go on, as the stop rules are others now."""
    old, new = (dict(table.get("stop", {})) for table in (described["specification"], as_toml_dict(spec)))
    change = difference(old, new)
    if not change:
        return False
    status = Status[described["result"]["status"].upper()]
    if not status.can_go_on:
        raise InputError(f"{out}: the run has ended by itself ({status.value}), and can't go on", Remedy.AFRESH)
    if not files.whole(out):
        what = f"stop.{change}, but the finished run in it has no checkpoint"
        raise InputError(f"{out}: {what}: it keeps one with checkpoint.every or checkpoint.seconds", Remedy.AFRESH)
    return True


def last_checkpoint(cluster: Cluster, subject: Subject, out: Path, *, quiet: bool) -> Resumed | None:
    """Return the last complete and undamaged checkpoint in `out`; None if there is none yet. Collective.

    Raises
    ------
    InputError
        On every process: if there are only damaged ones, or the run is another one.
    """
    speaks, group = cluster.local_nodes[0] == 0, cluster.processes
    own = {"saved": files.whole(out), "run": (out / folders.RUN).exists()} if speaks else {}
    there = json.loads(the_firsts(group, json.dumps(own)))
    complaint = ""
    for iteration in reversed(there["saved"]):
        found, why = _read(cluster, subject, out, iteration)
        if found is not None:
            if speaks and complaint:
                warn(f"{complaint}; resuming from the checkpoint at iteration {iteration} before it")
            if speaks:
                _tell(found, out, cluster.size, quiet=quiet)
            return found
        complaint = complaint or why
    if complaint:
        raise AgreedError(f"{complaint}; no other checkpoint can be used", Remedy.AFRESH)
    if there["run"] and speaks and not quiet:
        print(f"{out}: there is no checkpoint yet; the run starts from the beginning", flush=True)
    return None


def left_unfinished(
    spec: Specification, prepared: Prepared, solver: Solver[Any], out: Path, *, quiet: bool
) -> Resumed | None:
    """Return the last checkpoint of the same run of a comparison in `out`; None if none can be used. Collective."""
    cluster = prepared.cluster
    with suppress(AgreedError):  # it is another run, which is replaced
        if finished(spec, cluster, out) is None:
            try:
                return last_checkpoint(cluster, Subject.of(spec, prepared, solver), out, quiet=True)
            except AgreedError as error:
                if cluster.local_nodes[0] == 0 and not quiet:
                    warn(f"{error.message}; the run starts from the beginning")
    return None


def _read(cluster: Cluster, subject: Subject, out: Path, iteration: int) -> tuple[Resumed | None, str]:
    """Return the checkpoint at an iteration, or why it can't be used, the same on all processes."""
    group, place, why = cluster.processes, files.place_of(out, iteration), ""
    snapshots: dict[int, Snapshot] = {}
    records: list[Record] = []
    described: dict[str, Any] = {}
    try:
        manifest = files.manifest_of(place)
        other = subject.stranger(manifest)
        if not other:
            snapshots = _snapshots(cluster, manifest, place)
        if not other and group.rank == 0:
            described = checked.description(out / folders.RUN)
            records = [] if manifest.trace is None else trace_file.records_until(out, manifest.trace)
    except (InputError, OSError) as error:
        why = error.message if isinstance(error, InputError) else f"{error.filename}: {error.strerror}"
    failure = next(filter(None, everyones(group, why)), "")
    if failure:
        return None, failure
    if other:
        raise AgreedError(f"{place}: {other}", Remedy.AFRESH)
    described, records = shared_runs({0: (described, records)}, group)[0]
    return Resumed(manifest, snapshots, None if manifest.trace is None else records, described), ""


def _snapshots(cluster: Cluster, manifest: Manifest, place: Path) -> dict[int, Snapshot]:
    """Return the snapshots of this process's nodes, taken by these nodes or by another number of nodes."""
    rank, size = cluster.processes.rank, cluster.size
    if manifest.nodes == size:
        return _by_rank(files.state_in(place, rank, manifest.files))
    first = _by_rank(files.state_in(place, 0, manifest.files))
    counted = [snapshot["node"] for snapshot in first.values()]
    if rank == 0:
        for other in range(1, len(manifest.files)):
            counted += [snapshot["node"] for snapshot in files.state_in(place, other, manifest.files).values()]
    return {node: moved(first[0], counted if node == 0 else [], node, size) for node in cluster.local_nodes}


def _by_rank(state: dict[str, Snapshot]) -> dict[int, Snapshot]:
    return {int(rank): snapshot for rank, snapshot in state.items()}


def _tell(found: Resumed, out: Path, nodes: int, *, quiet: bool) -> None:
    manifest = found.manifest
    here = versions()
    for name, version in manifest.versions.items():
        if here.get(name) != version:
            change = f"written with {name} {version}, and this is {here.get(name)}"
            warn(f"the checkpoint was {change}; last digits may differ")
    if manifest.trace is None:
        warn(f"{out}: the trace had been lost before the checkpoint; the run goes on without one")
    if not quiet:
        others = f", which {manifest.nodes} nodes wrote, on {nodes}" if manifest.nodes != nodes else ""
        at = f"the checkpoint at iteration {manifest.iteration}{others}"
        print(f"resumed from {at}{_HOW[manifest.kind]}", flush=True)
