"""One solver's run over a prepared problem, from the warm-up to the output folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.departures import NodesLost
from hpcopt.fabric.interface import Cluster, Node
from hpcopt.interrupts import is_listening
from hpcopt.models.model import Model
from hpcopt.models.trained import trained
from hpcopt.results import checked, checkpoints
from hpcopt.results import folder as folders
from hpcopt.results.hubs import draw_hubs
from hpcopt.results.outcome import Outcome, Recording
from hpcopt.results.plots import draw_convergence
from hpcopt.results.terminal import warn
from hpcopt.runs.checkpoint import NO_CHECKPOINTS
from hpcopt.runs.departures import Team, in_words
from hpcopt.runs.description import describe, result_of
from hpcopt.runs.driver import drive
from hpcopt.runs.finished import Run
from hpcopt.runs.interrupted import Interrupted, Standing
from hpcopt.runs.keeper import Keeper
from hpcopt.runs.leaving import leave_rest, leave_result
from hpcopt.runs.observed import Observed
from hpcopt.runs.pictures import drawn_last
from hpcopt.runs.prepare import Prepared
from hpcopt.runs.recorder import Recorder
from hpcopt.runs.resuming import Resumed
from hpcopt.runs.subject import Subject
from hpcopt.runs.topology import draw_edges
from hpcopt.runs.warm_up import warm_up
from hpcopt.solvers.base import Solver
from hpcopt.spec.specification import Specification
from hpcopt.topology.hubs import HubNetwork
from hpcopt.topology.hubs.layout import lay_out_hubs


def execute(  # noqa: PLR0913  (what a run and the runs of a comparison differ in)
    spec: Specification,
    prepared: Prepared,
    label: str,
    solver: Solver[Any],
    folder: Path | None,
    *,
    clear: Callable[[Path], None] = folders.clear,
    resumed: Resumed | None = None,
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
    resumed
        The part of the run before its checkpoint; None: the run starts from the beginning.
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
    silent = quiet or not speaks
    _warmed_up(prepared, solver, replacing=out is not None and (out / folders.RUN).exists(), silent=silent)
    phases.begin("prepare")
    described = describe(spec, prepared, label, solver, written=out is not None)
    described |= {} if resumed is None else resumed.history(cluster.size)
    observed = Observed(cluster, spec.output, written=folder is not None)
    with agreed(cluster.processes, one_tells=True):
        if out is not None:
            clear(out)
            folders.write_json(out / folders.RUN, described)
    phases.begin("solve")
    outcomes, recorder, team = _solved(spec, prepared, label, solver, folder, observed, resumed, silent=silent)
    cluster = team.prepared.cluster
    out, described = _taken_over(cluster, folder, out, described)
    phases.level(cluster.processes)
    phases.begin("write")
    outcome = outcomes[0]
    result = result_of(outcome, team.departures)
    with agreed(cluster.processes):
        model = _model(prepared, outcome, label, result)
    with agreed(cluster.processes, one_tells=True):
        if out is not None:
            leave_result(model, out, described, phases, result, recorder)
    run = Run(label, folder, outcome.status, result, recorder.records, phases, prepared.goal, described, model)
    observations = _edges(team, outcomes), *observed.gathered(cluster.processes)
    if out is not None:
        leave_rest(out, recorder, *observations)
        if not (spec.checkpoint.periodic and outcome.status.can_go_on):
            checkpoints.remove(out)
        if draws:
            _draw(run, out, described, prepared.conditions.hubs if solver.needs.topology == "hubs" else None)
    phases.level(cluster.processes)
    return run


def _warmed_up(prepared: Prepared, solver: Solver[Any], *, replacing: bool, silent: bool) -> None:
    """Warm up, and tell if the windows had to be changed for lack of memory.

    A virtual clock needs no warm-up, but a run that is about to be replaced should survive a solver that fails at once.
    """
    cluster = prepared.cluster
    if cluster.clock != "wall" and not replacing:
        return
    before = cluster.probe_windows() if solver.needs.pace == "own" else None
    warm_up(prepared, solver)
    after = cluster.probe_windows() if solver.needs.pace == "own" else None
    if after != before and not silent:
        print(after, flush=True)


def _solved(
    spec: Specification,
    prepared: Prepared,
    label: str,
    solver: Solver[Any],
    folder: Path | None,
    observed: Observed,
    resumed: Resumed | None,
    *,
    silent: bool,
) -> tuple[list[Outcome], Recorder, Team]:
    """Run `solver` on the cluster's nodes, and on those that remain when some leave.

    Returns the outcomes on this process's nodes, the first of which records, the records, and the nodes that remain.
    """
    cluster, unrecorded = prepared.cluster, Recording(spec.output)
    stop = replace(spec.stop, target=prepared.goal.target)
    traced = folder if cluster.local_nodes[0] == 0 and (resumed is None or resumed.records is not None) else None
    earlier = None if resumed is None else resumed.records
    with Recorder(label, stop, traced, silent=silent, earlier=earlier) as recorder:
        keeper = _keeper(spec, prepared, solver, folder, recorder, resumed)
        team = Team(prepared, solver)

        def program(node: Node) -> Outcome | Interrupted:
            now = team.prepared
            observed.begin(node)
            records = node.rank == now.cluster.local_nodes[0]
            recording = replace(unrecorded, tell=recorder.tell) if records else unrecorded
            given = now.problem, now.shards[node.rank], team.solver, now.w0, stop, recording
            kept = NO_CHECKPOINTS if keeper is None or team.departures else keeper.on(node)
            standing = Standing(team.rejoining(node)) if node.survives else None
            outcome: Outcome | Interrupted
            try:
                outcome = drive(node, *given, kept, standing=standing)
            except NodesLost:
                assert standing is not None, "only where a run survives it"
                outcome = standing.interrupted(node)
            observed.end(node)
            return outcome

        with nullcontext() if keeper is None else keeper.requests():
            outcomes = cluster.run(program, team.prepared.conditions)
        writes = cluster.local_nodes[0] == 0
        while team.goes_on(outcomes):
            if team.prepared.cluster.local_nodes[0] == 0:
                warn(in_words(team.departures[-1], prepared))
                if not writes and folder is not None:
                    recorder.take_over(folder)
                writes = True
            outcomes = team.prepared.cluster.run(program, team.prepared.conditions)
        ended = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
        team.note(ended)
        return ended, recorder, team


def _keeper(
    spec: Specification,
    prepared: Prepared,
    solver: Solver[Any],
    folder: Path | None,
    recorder: Recorder,
    resumed: Resumed | None,
) -> Keeper | None:
    """Return what takes the run's checkpoints; None if none can be asked for."""
    if folder is None or not (spec.checkpoint.periodic or is_listening() or resumed is not None):
        return None
    subject = Subject.of(spec, prepared, solver)
    if subject.kind == "restarted" and prepared.conditions.heterogeneity.departures:
        if spec.checkpoint.periodic and prepared.cluster.local_nodes[0] == 0:
            warn("checkpoint: an asynchronous run on ranks, some of which are to leave, is not saved")
        return None
    return Keeper(
        prepared.cluster,
        spec.checkpoint,
        folder,
        subject,
        recorder,
        tells_all=spec.output.tells_all,
        resume={} if resumed is None else resumed.snapshots,
        begun=0 if resumed is None else resumed.manifest.iteration,
    )


def _taken_over(
    cluster: Cluster, folder: Path | None, out: Path | None, described: dict[str, Any]
) -> tuple[Path | None, dict[str, Any]]:
    """Return the folder in which this process writes, and run.json: also if the process that wrote it has died."""
    if out is None and folder is not None and cluster.local_nodes[0] == 0:
        return folder, checked.description(folder / folders.RUN)
    return out, described


def _edges(team: Team, outcomes: list[Outcome]) -> NDArray[np.int64] | None:
    """Return sender, receiver and bytes of every used edge, shape (edges, 3), if bytes are counted so; collective."""
    needs = team.solver.needs
    if needs.models != "own" or needs.topology == "hubs":
        return None
    own = np.array(team.edges(outcomes), dtype=np.int64).reshape(-1)
    return np.concatenate(team.prepared.cluster.processes.allgather(own)).reshape(-1, 3)


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
