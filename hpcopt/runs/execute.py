"""One solver's run over a prepared problem, from the warm-up to the output folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Node
from hpcopt.models.model import Model
from hpcopt.models.trained import trained
from hpcopt.results import folder as folders
from hpcopt.results.hubs import draw_hubs
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.plots import draw_convergence
from hpcopt.results.stopping import StopRule
from hpcopt.runs.description import describe, result_of
from hpcopt.runs.driver import drive
from hpcopt.runs.finished import Run
from hpcopt.runs.leaving import leave_rest, leave_result
from hpcopt.runs.observed import Observed
from hpcopt.runs.pictures import drawn_last
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.recorder import Recorder
from hpcopt.runs.topology import draw_edges
from hpcopt.runs.warm_up import warm_up
from hpcopt.solvers.base import Solver
from hpcopt.spec.specification import Specification
from hpcopt.topology.hubs import HubNetwork
from hpcopt.topology.hubs.layout import lay_out_hubs


def execute(
    spec: Specification,
    prepared: Prepared,
    label: str,
    solver: Solver[Any],
    folder: Path | None,
    *,
    clear: Callable[[Path], None] = folders.clear,
    quiet: bool = False,
    draws: bool = True,
) -> Run:
    """Run `solver`, which `admit` has accepted; collective over the processes of the cluster.

    Parameters
    ----------
    folder
        The output folder, checked before by `folder.check`; None: nothing is written.
    clear
        Creates or clears the folder. It is called immediately before the first iteration, after all errors that can be
        detected in advance.
    quiet
        Whether to show no progress.
    draws
        Whether to draw the run's pictures.
    """
    cluster = prepared.cluster
    speaks = cluster.local_nodes[0] == 0
    out = folder if speaks else None  # the folder in which this process writes
    phases = prepared.phases.copy()
    phases.begin("warm-up")  # before the folder is cleared, as a solver may fail here already
    windows = _warmed_up(prepared, solver, replacing=out is not None and (out / folders.RUN).exists())
    if windows is not None and speaks and not quiet:
        print(windows, flush=True)
    phases.begin("prepare")
    described = describe(spec, prepared, label, solver, written=out is not None)
    stop = replace(spec.stop, target=prepared.goal.target)
    observed = Observed(cluster, spec.output, written=folder is not None)
    with agreed(cluster.processes, one_tells=True):
        if out is not None:
            clear(out)
            folders.write_json(out / folders.RUN, described)
    phases.begin("solve")
    with Recorder(label, stop, out, silent=quiet or not speaks) as recorder:
        outcomes = _driven(spec, prepared, solver, stop, recorder, observed)
    phases.level(cluster.processes)
    phases.begin("write")
    outcome = outcomes[0]
    result = result_of(outcome)
    with agreed(cluster.processes):
        model = _model(prepared, outcome, label, result)
    with agreed(cluster.processes, one_tells=True):
        if out is not None:
            leave_result(model, out, described, phases, result, recorder)
    run = Run(label, folder, outcome.status, result, recorder.records, phases, prepared.goal, described, model)
    by_edge = solver.needs.models == "own" and solver.needs.topology != "hubs"
    edges = _edges(prepared, outcomes) if by_edge else None
    observations = observed.gathered()
    if out is not None:
        leave_rest(out, recorder, edges, *observations)
    if out is not None and draws:
        _draw(run, out, described, prepared.conditions.hubs if solver.needs.topology == "hubs" else None)
    phases.level(cluster.processes)
    return run


def _warmed_up(prepared: Prepared, solver: Solver[Any], *, replacing: bool) -> str | None:
    """Warm up; return a description of the windows if they had to be changed for lack of memory.

    A virtual clock needs no warm-up, but a run that is about to be replaced should survive a solver that fails at once.
    """
    cluster = prepared.cluster
    if cluster.clock != "wall":
        if replacing:
            warm_up(prepared, solver)
        return None
    if solver.needs.pace != "own":
        warm_up(prepared, solver)
        return None
    before = cluster.probe_windows()
    warm_up(prepared, solver)
    after = cluster.probe_windows()
    return None if after == before else after


def _driven(
    spec: Specification,
    prepared: Prepared,
    solver: Solver[Any],
    stop: StopRule,
    recorder: Recorder,
    observed: Observed,
) -> list[Outcome]:
    """Run `solver` on the cluster's nodes; return the outcomes on this process's nodes, the first of which records."""
    cluster, silent = prepared.cluster, Recording(spec.output)

    def program(node: Node) -> Outcome:
        observed.begin(node)
        recording = replace(silent, tell=recorder.tell) if node.rank == cluster.local_nodes[0] else silent
        outcome = drive(node, prepared.problem, prepared.shards[node.rank], solver, prepared.w0, stop, recording)
        observed.end(node)
        return outcome

    return cluster.run(program, prepared.conditions)


def _edges(prepared: Prepared, outcomes: list[Outcome]) -> NDArray[np.int64]:
    """Return sender, receiver and bytes of every used edge, shape (edges, 3); collective."""
    nodes = zip(prepared.cluster.local_nodes, outcomes, strict=True)
    rows = [(node, target, size) for node, outcome in nodes for target, size in sorted(outcome.edges.items())]
    own = np.array(rows, dtype=np.int64).reshape(-1)
    return np.concatenate(prepared.cluster.processes.allgather(own)).reshape(-1, 3)


def _model(prepared: Prepared, outcome: Outcome, label: str, result: dict[str, Any]) -> Model:
    loaded, problem = prepared.loaded, prepared.problem
    meta = {
        "solver": label,
        "data": loaded.name,
        "objective": result["objective"],
        "l2": problem.formulation.penalty.curvature,
        "zero_based": loaded.zero_based,
    }
    if loaded.hash_bits is not None:
        meta["hash_bits"] = loaded.hash_bits
    if loaded.groups is not None:
        meta |= {"positive": list(loaded.groups.positive), "negative": list(loaded.groups.negative)}
    return trained(problem, loaded, outcome.w, meta)


def _draw(run: Run, folder: Path, described: dict[str, Any], hubs: HubNetwork | None) -> None:
    """Draw the pictures of the files written so far, and the hub network."""
    picture, diagram = folder / folders.PICTURE, folder / folders.TOPOLOGY
    title = f"{run.label}: {described['problem']}"
    with drawn_last(picture):
        draw_convergence(run.records, picture, title, run.goal)
    with drawn_last(diagram):
        if hubs is not None:
            draw_hubs(hubs, lay_out_hubs(hubs), diagram, f"{run.label}\n{hubs.words()}")
        elif (folder / folders.EDGES).exists():
            draw_edges(described, folder, diagram)
