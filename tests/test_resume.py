"""Resuming from a checkpoint: from any yield, in a new cluster, a run ends like an uninterrupted one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.errors import InputError
from hpcopt.fabric.heterogeneity import EVEN, Departure, Heterogeneity, Pause
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.results.stopping import Disagreement, Status
from hpcopt.runs.checkpoint import packed, unpacked
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.parts.step_size import Schedule
from tests.launch import python_ranks, requires_mpi
from tests.records import record

IN_ROUNDS = [name for name in SOLVERS if SOLVERS[name].needs.pace == "rounds"]
ON_THEIR_OWN = [name for name in SOLVERS if SOLVERS[name].needs.pace == "own"]
NODES, ITERATIONS, STEPS = 4, 6, 20
UNLIKE = Heterogeneity(
    seed=3,
    probability=0.4,
    slowdown=7.0,
    slow_nodes=(1,),
    distribution="lognormal",
    slow_links=0.5,
    pauses=(Pause(2, 1e-4, 1e-3), Pause(2, 4e-3, 1e-3)),
)
PAIRS, PORTS = {}, {"links": "ports", "collective": "star"}
TOP_K, QSGD, LOW_RANK = COMPRESSORS["top-k"](fraction=0.4), COMPRESSORS["qsgd"](levels=4), COMPRESSORS["low-rank"]()


def takes(name, **parameters):
    """Return the parameters that a solver has."""
    own = {field.name for field in dataclasses.fields(SOLVERS[name])}
    return {key: value for key, value in parameters.items() if key in own}


def accepts(name, **parameters):
    """Return whether a solver takes these parameters."""
    try:
        SOLVERS[name](**parameters)
    except InputError:
        return False
    return True


def settings():
    """Yield solvers with their parameters, heterogeneous nodes and the link model."""
    for name in IN_ROUNDS:
        yield name, {}, EVEN, PAIRS
        for links in (PAIRS, PORTS):
            yield name, takes(name, batch=5), UNLIKE, links
        compresses = takes(name, compressor=TOP_K)
        if SOLVERS[name].needs.models == "own" and compresses and accepts(name, **compresses):
            for compressor in (TOP_K, QSGD, LOW_RANK):
                yield name, {"compressor": compressor}, UNLIKE, PORTS
    for feedback in ("ef", "ef21"):
        yield "sgd", {"compressor": TOP_K, "error_feedback": feedback, "momentum": 0.5}, UNLIKE, PORTS
    yield "sgd", {"compressor": QSGD, "batch": 5}, EVEN, PAIRS
    yield "sgd", {"step_size": Schedule(initial=0.5, decay=0.1)}, EVEN, PAIRS
    yield "local-newton", {"schedule": "adaptive", "local_steps": 2, "delta": 0.1}, UNLIKE, PAIRS
    yield "local-newton", {"schedule": "adaptive", "carried": True}, UNLIKE, PAIRS
    yield "local-newton", {"schedule": "paper", "global_line_search": True}, UNLIKE, PAIRS
    yield "local-newton", {"regulariser": "debiased", "mixing": "preconditioned"}, EVEN, PAIRS
    yield "lbfgs", {"memory": 2}, UNLIKE, PORTS
    yield "local-sgd", {"local_steps": 3, "batch": 4}, UNLIKE, PORTS
    yield "deli-coco", {"gossip_steps": 2, "warm": True, "compressor": TOP_K, "scatter": 0.5}, UNLIKE, PORTS
    yield "compressed-gradient-tracking", {"form": "c-gt", "alpha": 0.5, "compressor": TOP_K}, UNLIKE, PORTS
    yield "dgd", {"order": "adapt-then-combine", "gossip_steps": 2, "batch": 5}, UNLIKE, PORTS


def named(setting):
    name, parameters, heterogeneity, links = setting
    told = [f"{key}={getattr(value, 'name', value)}" for key, value in parameters.items()]
    return "-".join([name, *told, "even" if heterogeneity is EVEN else "unlike", links.get("links", "pairs")])


def ending(solved):
    """Return all results of a run: iterates, states, counts, clocks, and the trace."""
    nodes = [(node.ledger.solver, node.meter.flops, node.meter.touched, node.now()) for node in solved.nodes]
    states = [packed(outcome.state, "state") for outcome in solved.outcomes]
    return (
        solved.outcome.status,
        solved.outcome.record.line(),
        nodes,
        states,
        [outcome.w for outcome in solved.outcomes],
    )


def assert_same_end(found, expected, *, skipped=0):
    """Expect bitwise equal results, and the records after the first `skipped` ones."""
    assert [record.line() for record in found.records] == [record.line() for record in expected.records[skipped:]]
    np.testing.assert_equal(ending(found), ending(expected))


def run(setting, checkpoints=None, **stop):
    name, parameters, heterogeneity, links = setting
    more = {} if checkpoints is None else {"checkpoints": checkpoints}
    cluster = VirtualCluster(NODES, Network(bandwidth=1e7, **links), speeds=[1.0, 0.5, 2.0, 1.0], seed=2)
    spread = logistic(n=61, nodes=NODES)
    stop = stop or {"iterations": ITERATIONS}
    return solve(SOLVERS[name](**parameters), spread, cluster=cluster, heterogeneity=heterogeneity, **more, **stop)


@pytest.mark.parametrize("setting", list(settings()), ids=named)
def test_a_run_goes_on_from_any_yield_to_the_same_end(setting):
    kept = Kept()
    expected = run(setting)
    assert_same_end(run(setting, kept), expected)
    for count, snapshots in kept.after.items():
        assert_same_end(run(setting, going_on(snapshots)), expected, skipped=count + 1)
    yields = expected.records[-1].iteration
    ends = expected.outcome.status is not Status.FINISHED  # ended by a rule: there is nothing to resume
    assert list(kept.after) == list(range(1, yields + 1 - ends))


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_on_one_node_without_mpi_too(name):
    def alone(checkpoints=None):
        more = {} if checkpoints is None else {"checkpoints": checkpoints}
        solver = SOLVERS[name](**takes(name, batch=5))
        return solve(solver, logistic(nodes=1), cluster=SoloCluster(seed=2), iterations=4, **more)

    def timeless(solved):
        status, _, nodes, states, models = ending(solved)
        records = [{**record.as_dict(), "seconds": 0.0} for record in solved.records]
        return status, [node[:-1] for node in nodes], states, models, records[-1]

    kept = Kept()
    expected = alone(kept)
    for snapshots in kept.after.values():
        np.testing.assert_equal(timeless(alone(going_on(snapshots))), timeless(expected))


@pytest.mark.parametrize(
    ("name", "parameters", "spread", "status"),
    [
        ("sgd", {"step_size": 3.0, "momentum": 0.1}, ridge(nodes=NODES), Status.DIVERGED),
        ("choco-gossip", {"compressor": COMPRESSORS["top-k"](k=2), "gamma": 1.0}, ridge(d=60, nodes=9), Status.APART),
    ],
)
def test_the_best_model_and_how_far_models_were_apart_are_known_again(name, parameters, spread, status):
    def run(**checkpoints):
        return solve(SOLVERS[name](**parameters), spread, rounds=500, **checkpoints)

    kept = Kept()
    expected = run(checkpoints=kept)
    assert expected.outcome.status is status
    for count in (1, max(kept.after) // 2, max(kept.after)):
        assert_same_end(run(checkpoints=going_on(kept.after[count])), expected, skipped=count + 1)


@pytest.mark.parametrize("record_every", [0, 4])
def test_what_is_recorded_seldom_is_recorded_as_seldom(record_every):
    setting = ("sgd", {"batch": 5}, UNLIKE, PAIRS)
    kept = Kept()
    expected = run(setting, kept, iterations=9, record_every=record_every)
    for count, snapshots in kept.after.items():
        found = run(setting, going_on(snapshots), iterations=9, record_every=record_every)
        told = sum(record.iteration <= count for record in expected.records)
        assert_same_end(found, expected, skipped=told)


def test_a_goal_relative_to_the_start_is_the_same():
    setting = ("lbfgs", {}, EVEN, PAIRS)
    kept = Kept()
    expected = run(setting, kept, relative_gradient=1e-2)
    assert expected.outcome.status is Status.GRADIENT
    for count, snapshots in kept.after.items():
        assert_same_end(run(setting, going_on(snapshots), relative_gradient=1e-2), expected, skipped=count + 1)


ASKED = {
    "nothing": lambda *_: None,
    "a gradient": lambda f, w: f.at(w).gradient,
    "a Hessian": lambda f, w: f.at(w).hessian(),
    "a ray": lambda f, w: f.at(w).along(w).values(np.ones(1)),
}


@pytest.mark.parametrize("before", ASKED)
@pytest.mark.parametrize("after", ASKED)
def test_an_oracle_charges_after_a_checkpoint_what_it_would_have_charged(before, after):
    spread = logistic(n=60, d=4, nodes=1)
    w = np.ones(4)
    f, again = spread.serial(), spread.serial()
    ASKED[before](f, w)
    again.recall(f.remembered())
    assert again.meter.flops == 0.0
    f.meter.flops = 0.0
    for oracle in (f, again):
        ASKED[after](oracle, w)
    assert again.meter.flops == f.meter.flops


def walk(plain, where="snapshot"):
    """Expect only data that a file without pickle can contain."""
    if isinstance(plain, dict):
        for key, value in plain.items():
            assert type(key) is str, where
            walk(value, f"{where}.{key}")
    elif isinstance(plain, list):
        for place, value in enumerate(plain):
            walk(value, f"{where}[{place}]")
    elif isinstance(plain, np.ndarray):
        assert plain.dtype.kind in "biuf", where
    else:
        assert plain is None or type(plain) in {bool, int, float, str}, (where, type(plain))


@pytest.mark.parametrize("name", list(SOLVERS))
def test_a_snapshot_is_plain_data(name):
    kept = Kept()
    run((name, {}, UNLIKE, PORTS), kept)
    assert kept.after
    for snapshots in kept.after.values():
        for snapshot in snapshots.values():
            walk(snapshot)


def test_a_snapshot_shares_nothing_with_the_run():
    setting = ("deli-coco", {"compressor": TOP_K}, EVEN, PAIRS)
    kept = Kept()
    expected = run(setting, kept)
    for _ in range(2):
        assert_same_end(run(setting, going_on(kept.after[2])), expected, skipped=3)


def test_a_snapshot_of_another_solver_or_of_another_cluster_is_refused():
    kept = Kept()
    run(("sgd", {}, EVEN, PAIRS), kept)
    with pytest.raises(InputError, match="has solver sgd, this run has solver giant"):
        run(("giant", {}, EVEN, PAIRS), going_on(kept.after[1]))
    with pytest.raises(InputError, match="has size 4, this run has size 2"):
        solve(SOLVERS["sgd"](), logistic(nodes=2), checkpoints=going_on(kept.after[1]), iterations=2)


def test_a_state_that_lacks_a_field_is_refused():
    kept = Kept()
    run(("sgd", {}, EVEN, PAIRS), kept)
    for snapshot in kept.after[1].values():
        del snapshot["state"]["velocity"]
    with pytest.raises(InputError, match="no SGDState of this version"):
        run(("sgd", {}, EVEN, PAIRS), going_on(kept.after[1]))


def test_records_are_packed_whole():
    some = record(consensus=float("inf"), gradients=3)
    assert unpacked(type(some), packed(some, "record")) == some


def test_what_no_file_can_hold_is_refused_with_its_place():
    with pytest.raises(TypeError, match=r"state\[1\]: a checkpoint holds"):
        packed([1, object()], "state")


def test_the_watch_for_drift_goes_on_where_it_was():
    whole, cut = Disagreement(2, np.zeros(1)), Disagreement(2, np.zeros(1))
    for step in range(1, 31):
        seen = record(consensus=1e-3 * 1.5**step, iteration=step)
        assert whole.verdict(seen, np.zeros(1)) == cut.verdict(seen, np.zeros(1))
        again = Disagreement(2, np.ones(1))
        again.restore(cut.snapshot())
        cut = again
    assert cut.verdict(seen, np.zeros(1)) is Status.APART


LEAVING = dataclasses.replace(UNLIKE, departures=(Departure(3, 2e-3),))
APART = [
    (name, takes(name, batch=5, **more), heterogeneity, PAIRS)
    for name in ON_THEIR_OWN
    for more, heterogeneity in (({}, UNLIKE), ({}, LEAVING), ({"compressor": QSGD, "overlap": False}, UNLIKE))
]


@pytest.mark.parametrize("setting", APART, ids=named)
def test_an_asynchronous_run_goes_on_by_being_run_again_up_to_there(setting):
    kept = Kept()
    expected = run(setting, iterations=STEPS)
    assert_same_end(run(setting, kept, iterations=STEPS), expected)
    everywhere = [snapshots for snapshots in kept.after.values() if len(snapshots) == NODES]
    assert everywhere
    for snapshots in everywhere:
        found = run(setting, going_on(snapshots), iterations=STEPS)
        assert_same_end(found, expected, skipped=snapshots[0]["records"])


@pytest.mark.parametrize("name", ON_THEIR_OWN)
@pytest.mark.parametrize("what", ["seed", "parameters", "heterogeneity", "length"])
def test_an_asynchronous_run_that_is_another_one_is_found_out(name, what):
    def run(checkpoints, seed=2, heterogeneity=UNLIKE, iterations=STEPS, **parameters):
        solver = SOLVERS[name](**{**takes(name, batch=5, step_size=0.1), **parameters})
        cluster = VirtualCluster(NODES, seed=seed)
        more = {"cluster": cluster, "heterogeneity": heterogeneity, "checkpoints": checkpoints}
        return solve(solver, ridge(n=61, nodes=NODES), iterations=iterations, **more)

    other = {
        "seed": {"seed": 3} if takes(name, batch=5) else {"heterogeneity": EVEN},
        "parameters": takes(name, batch=6) or {"damping": 0.5},
        "heterogeneity": {"heterogeneity": dataclasses.replace(UNLIKE, seed=4)},
        "length": {"iterations": 1},
    }[what]
    kept = Kept()
    run(kept)
    snapshots = [snapshots for snapshots in kept.after.values() if len(snapshots) == NODES][-1]
    run(going_on(snapshots))
    with pytest.raises(InputError, match="resume: this run differs from that of the checkpoint"):
        run(going_on(snapshots), **other)


@pytest.mark.parametrize("name", ON_THEIR_OWN)
def test_on_the_clock_of_the_wall_asynchronous_nodes_stop_and_start_again_from_their_states(name):
    def run(**more):
        return solve(SOLVERS[name](), logistic(nodes=1), cluster=SoloCluster(), iterations=9, **more)

    kept = Kept()
    whole = run(checkpoints=kept)
    assert list(kept.after) == list(range(1, 9))
    assert whole.outcome.last.gradients >= 9
    found = run(checkpoints=going_on(kept.after[5]))
    assert found.outcome.last.iteration == 9
    assert found.records[0].iteration >= 5
    np.testing.assert_allclose(found.w, whole.w, rtol=1e-6)


@pytest.mark.mpi
@requires_mpi
def test_real_ranks_go_on_to_the_same_bits():
    here = Path(__file__).parent
    done = python_ranks(3, here / "ranks" / "resume.py", timeout=100, env={"PYTHONPATH": str(here.parent)})
    assert done.returncode == 0, done.stdout + done.stderr
