"""One solver's run over a prepared problem, from the first round to the folder it leaves behind."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import platform
import sys
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError, MissingLibraryError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.interface import Node
from hpcopt.fabric.launch import mpi_library
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.models.model import Model, trained
from hpcopt.problems.problem import Shard
from hpcopt.results import folder as folders
from hpcopt.results.outcome import Outcome, Recording, Row
from hpcopt.results.plots import draw_convergence
from hpcopt.results.stopping import Status, StopRule
from hpcopt.results.tables import JUDGED, WHERE_THERE, judged
from hpcopt.runs.driver import drive
from hpcopt.runs.network import draw_edges
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.progress import Progress
from hpcopt.runs.timelines import Timelines
from hpcopt.solvers.base import Solver
from hpcopt.spec.specification import Specification, as_toml_dict
from hpcopt.version import __version__

REHEARSED_ROWS, REHEARSED_ROUNDS = 64, 12  # of a run that nobody sees
REHEARSED_ALONE = 2**25  # numbers that one process can hold for all: every node's model at every node
VERSIONS = ("numpy", "scipy", "numba", "mpi4py", "greenlet", "scikit-learn")


@dataclass(frozen=True)
class Run:
    """A finished run, the same on every process.

    Attributes
    ----------
    label
        What it is called in tables.
    folder
        What it left behind; None if nothing was to be written.
    result
        As in run.json: status, message, reached, rounds, iterations, seconds, bytes, messages, work, objective,
        grad_norm.
    trace
        The recorded rows (on MPI: kept by every rank, written by rank 0).
    model
        The last iterate; after a divergence the best one.
    """

    label: str
    folder: Path | None
    status: Status
    result: dict[str, Any]
    trace: list[Row]
    model: Model

    @property
    def diverged(self) -> bool:
        """Whether going on was hopeless."""
        return self.status.diverged


def stop_rule(spec: Specification, total: int) -> StopRule:
    """Return the driver's rule for the specification's [stop]."""
    stop = spec.stop.resolved()
    return StopRule(
        rounds=stop.rounds,
        iterations=stop.iterations,
        seconds=stop.seconds,
        bytes=stop.bytes,
        target=stop.target,
        target_on=stop.target_on,
        gradient_norm=stop.gradient_norm,
        relative_gradient=stop.relative_gradient,
        gap=stop.gap,
        l2=spec.problem.l2_value(total),
    )


def check(solvers: Iterable[tuple[str, Solver[Any]]], prepared: Prepared, *, force: bool) -> None:
    """Refuse solvers that cannot work on this problem, or whose theory does not cover this network; collective.

    Parameters
    ----------
    solvers
        With their labels.
    force
        Whether the theory may be left aside.

    Raises
    ------
    InputError
        With the first one's label, on every process.
    """
    with agreed(prepared.cluster.processes):
        for label, solver in solvers:
            refusal = solver.refuses(prepared.w0.size)
            if refusal:
                raise InputError(f"{label}: {refusal}")
            objection = None if force else solver.condition(prepared.w0.size, prepared.cluster.mixing)
            if objection:
                raise InputError(f"{label}: {objection} (--force runs it all the same)")


def execute(
    spec: Specification,
    prepared: Prepared,
    label: str,
    solver: Solver[Any],
    folder: Path | None,
    *,
    quiet: bool = False,
) -> Run:
    """Run `solver`, which `check` has let pass; collective over the processes of the cluster.

    Parameters
    ----------
    folder
        Made and empty of runs (`folder.clear`); None: nothing is written.
    quiet
        Whether to tell nothing of the progress.
    """
    cluster = prepared.cluster
    first = cluster.local_nodes[0]
    speaks = first == 0
    stop = stop_rule(spec, prepared.problem.total)
    described = _describe(spec, prepared, label, solver)
    trace: list[Row] = []
    timelines = Timelines(cluster) if spec.output.timeline and folder is not None else None
    with agreed(cluster.processes, one_tells=True):
        if folder is not None and speaks:
            folders.write_json(folder / folders.RUN, described)
    if cluster.clock == "wall":
        _rehearse(prepared, solver)
    with ExitStack() as open_now:
        progress = open_now.enter_context(Progress(label, stop, silent=quiet or not speaks))
        file = None if folder is None or not speaks else open_now.enter_context(closing(folders.TraceFile(folder)))

        def record(row: Row) -> None:
            trace.append(row)
            progress.update(row)
            if file is not None:
                file.append(row)

        def program(node: Node) -> Outcome:
            if timelines is not None:
                timelines.begin(node)
            return drive(
                node,
                prepared.problem,
                prepared.shards[node.rank],
                solver,
                prepared.w0,
                stop,
                Recording(spec.output.record_every, spec.output.record_seconds, record)
                if node.rank == first
                else Recording(spec.output.record_every, spec.output.record_seconds),
            )

        outcomes = cluster.run(program)
        outcome = outcomes[0]
    result = folders.finite(_result(outcome))
    with agreed(cluster.processes):
        model = _model(prepared, outcome, label, result)
    run = Run(label, folder, outcome.status, result, trace, model)
    edges = _edges(prepared, outcomes) if solver.decentralised else None
    spans = None if timelines is None else timelines.gathered()
    with agreed(cluster.processes, one_tells=True):
        if folder is not None and speaks:
            if edges is not None:
                folders.write_edges(folder, edges)
            if spans is not None:
                folders.write_timeline(folder, spans)
            _leave(run, folder, described, stop)
    return run


def _edges(prepared: Prepared, outcomes: list[Outcome]) -> NDArray[np.int64]:
    """Return sender, receiver and bytes of every edge that carried any, shape (edges, 3); collective."""
    nodes = zip(prepared.cluster.local_nodes, outcomes, strict=True)
    rows = [(node, target, size) for node, outcome in nodes for target, size in sorted(outcome.edges.items())]
    own = np.array(rows, dtype=np.int64).reshape(-1)
    return np.concatenate(prepared.cluster.processes.allgather(own)).reshape(-1, 3)


def _rehearse(prepared: Prepared, solver: Solver[Any]) -> None:
    """Run a few rounds on a few rows and forget them.

    The first calls of anything are slow (caches, lazy connections, the libraries' own set-up). Without this the
    solver that happens to be compared first would pay for all of them.
    """
    few = {
        rank: Shard(shard.matrix.head(REHEARSED_ROWS), shard.y[:REHEARSED_ROWS])
        for rank, shard in prepared.shards.items()
    }
    stop, cluster = StopRule(rounds=REHEARSED_ROUNDS), prepared.cluster

    def program(node: Node) -> None:
        shard = few.get(node.rank, few[cluster.local_nodes[0]])
        drive(node, prepared.problem, shard, solver, prepared.w0, stop, Recording(every=0))

    def alone() -> None:
        virtual = VirtualCluster(cluster.size)
        virtual.mixing = cluster.mixing
        virtual.run(program)

    if cluster.processes.size > 1 and cluster.size**2 * len(prepared.w0) <= REHEARSED_ALONE:
        cluster.led(alone)  # so that one process of a host compiles what the solver needs, not all at once
    heterogeneity, cluster.heterogeneity = cluster.heterogeneity, Heterogeneity()  # nobody waits for rehearsed delays
    try:
        cluster.run(program)
    finally:
        cluster.heterogeneity = heterogeneity


def _result(outcome: Outcome) -> dict[str, Any]:
    last, kept = outcome.last, outcome.row
    return {
        "status": outcome.status.name.lower(),
        "message": outcome.status.value,
        "reached": outcome.status.reached,
        "rounds": last["round"],
        "iterations": last["iteration"],
        "seconds": last["seconds"],
        "bytes": last["bytes"],
        "messages": last["messages"],
        "work": last["work"],
        "objective": kept["objective"],
        "grad_norm": kept["grad_norm"],
        **{key: kept[key] for key in WHERE_THERE if key in kept},
    }


def _model(prepared: Prepared, outcome: Outcome, label: str, result: dict[str, Any]) -> Model:
    loaded, problem = prepared.loaded, prepared.problem
    meta = {
        "solver": label,
        "data": loaded.name,
        "objective": result["objective"],
        "l2": problem.l2,
        "zero_based": loaded.zero_based,
    }
    if loaded.groups is not None:
        meta |= {"positive": list(loaded.groups.positive), "negative": list(loaded.groups.negative)}
    return trained(problem, loaded, outcome.w, meta)


def _describe(spec: Specification, prepared: Prepared, label: str, solver: Solver[Any]) -> dict[str, Any]:
    """Return run.json as it stands while the run goes on."""
    cluster = prepared.cluster
    host = np.frombuffer(platform.node().encode(), dtype=np.uint8)
    hosts = [bytes(h).decode() for h in cluster.processes.allgather(host)]
    windows = cluster.probe_windows() if solver.asynchronous else None
    unlike = cluster.heterogeneity.words(cluster.size)
    return {
        "hpcopt": __version__,
        "label": label,
        "solver": type(solver).name,
        "problem": prepared.words(),
        "specification": as_toml_dict(spec),
        "seed": spec.seed,
        "cluster": cluster.kind,
        "nodes": cluster.size,
        **({"network": cluster.mixing.words()} if cluster.mixing is not None else {}),
        **({"unlike": unlike} if unlike else {}),
        **({"windows": windows.removeprefix("windows: ")} if windows is not None else {}),
        "clock": cluster.clock,
        "mpi": mpi_library(),
        "hosts": hosts if len(set(hosts)) > 1 else hosts[:1],
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS},
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "result": None,
    }


def _leave(run: Run, folder: Path, described: dict[str, Any], stop: StopRule) -> None:
    """Write the model, the picture, and last the result: a folder whose run.json has one is whole."""
    run.model.save(folder / folders.MODEL)
    title = f"{run.label}: {described['problem']}"
    try:
        rows = judged(run.trace, stop.target_on)
        draw_convergence(rows, folder / folders.PICTURE, title + JUDGED[stop.target_on], target=stop.target)
        if (folder / folders.EDGES).exists():
            draw_edges(described, folder, folder / folders.NETWORK)
    except MissingLibraryError as error:
        print(f"hpcopt: {folders.PICTURE} not drawn: {error}", file=sys.stderr)
    folders.write_json(folder / folders.RUN, {**described, "result": run.result})
