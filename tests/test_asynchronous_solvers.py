"""The comparators of DSGD-AAU on virtual clusters with stragglers: sgp, ad-psgd, agp, prague.

And asynchronous LocalNewton, which averages as DSGD-AAU does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.errors import InputError
from hpcopt.fabric.heterogeneity import Departure, Heterogeneity, Pause
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.results.stopping import Status
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.ad_psgd import ADPSGD, FREE, GONE, LOCKED
from hpcopt.solvers.agp import AGP, LEAST
from hpcopt.solvers.async_local_newton import AsyncLocalNewton
from hpcopt.solvers.dgd import DPSGD
from hpcopt.solvers.local_newton import LocalNewton
from hpcopt.solvers.parts.push_sum import smallest_weight
from hpcopt.solvers.parts.step_size import Schedule
from hpcopt.solvers.prague import Prague
from hpcopt.solvers.sgp import SGP
from hpcopt.topology import TOPOLOGIES, build
from tests.launch import python_ranks, requires_mpi

STRAGGLERS = Heterogeneity(seed=3, probability=0.2, slowdown=10.0, distribution="uniform", spread=0.1)
QUICK = Network(latency=1e-7, bandwidth=1e10)
SLOW = Network(latency=2e-3, bandwidth=1e10)  # a message takes longer than a gradient
FIRST_ORDER = pytest.mark.parametrize("name", ["ad-psgd", "agp", "prague"])
ALL = pytest.mark.parametrize("name", ["ad-psgd", "agp", "prague", "async-local-newton"])
NO_STEP = 1e-300
ONE_STEP = Schedule(initial=0.5, decay=1e40, power=1.0)  # later steps are smaller than roundoff


def apart(solver_class, starts):
    """Return the solver with individual starting models of the workers, (n, d)."""

    class Apart(solver_class):
        def init(self, node, f, w0):  # noqa: ARG002
            return super().init(node, f, starts[node.rank])

    return Apart


def straggling(n, heterogeneity=STRAGGLERS, network=QUICK):
    """Return the arguments of `solve` for such a run."""
    return {"cluster": VirtualCluster(n, network, flops=1e6), "heterogeneity": heterogeneity}


def models(solved):
    return np.array([outcome.state.w for outcome in solved.outcomes])


def locks(cluster):
    """Return the locks at the end of a run of AD-PSGD, in the second window (the first one is the driver's)."""
    return [int(part[0]) for part in cluster.shared(("window", 2), list).parts]


@ALL
@pytest.mark.parametrize("network", [QUICK, SLOW])
def test_a_target_is_reached_among_stragglers(name, network):
    spread = logistic(n=400, nodes=8)
    _, best = spread.optimum()
    step = {} if name == "async-local-newton" else {"step_size": 0.4, "batch": 10}
    stop = {"target": best + 3e-3, "seconds": 5.0}
    solved = solve(SOLVERS[name](**step), spread, **straggling(8, network=network), **stop)
    assert solved.outcome.status is Status.TARGET
    assert solved.outcome.record.gradients <= sum(outcome.state.steps for outcome in solved.outcomes)
    if network is QUICK and name in {"ad-psgd", "agp"}:
        in_step = solve(DPSGD(step_size=0.4, batch=10), spread, **straggling(8), **stop)
        assert in_step.outcome.status is Status.TARGET
        assert solved.rows[-1]["seconds"] < 0.8 * in_step.rows[-1]["seconds"]


@FIRST_ORDER
@pytest.mark.parametrize("topology", ["ring", "star", "erdos-renyi"])
@pytest.mark.parametrize("network", [QUICK, SLOW])
def test_averaging_keeps_the_mean_and_brings_agreement(name, topology, network):
    spread = ridge(n=140, nodes=7)
    starts = np.random.default_rng(5).standard_normal((7, spread.d))
    without_division = {"division": False} if name == "prague" else {}  # which would repeat the same groups many times
    solved = solve(
        apart(SOLVERS[name], starts)(step_size=NO_STEP, batch=5, **without_division),
        spread,
        **straggling(7, network=network),
        topology=TOPOLOGIES[topology](),
        iterations=300,
        record_every=0,
    )
    mean = starts.mean(axis=0)
    if name == "agp":
        masses = np.array([outcome.state.mass for outcome in solved.outcomes])
        assert_allclose(masses.sum(axis=0), 7 * np.append(mean, 1.0), rtol=1e-12)
    else:
        assert_allclose(models(solved).mean(axis=0), mean, rtol=1e-11)
    assert np.abs(models(solved) - mean).max() < 1e-3


@FIRST_ORDER
def test_every_gradient_is_counted(name):
    spread = logistic(nodes=5)
    solved = solve(SOLVERS[name](), spread, **straggling(5), iterations=30, record_every=0)
    steps = [outcome.state.steps for outcome in solved.outcomes]
    assert solved.outcome.record.gradients == sum(steps)
    assert max(steps) >= solved.outcome.record.iteration >= 30
    assert solved.outcome.record.discarded == sum(outcome.state.discarded for outcome in solved.outcomes)


@ALL
@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize(
    ("stop", "status"),
    [
        ({"seconds": 0.2}, Status.SECONDS),
        ({"rounds": 25}, Status.ROUNDS),
        ({"iterations": 25}, Status.ITERATIONS),
        ({"target": 0.68, "seconds": 10.0}, Status.TARGET),
    ],
)
def test_every_rule_ends_all(name, nodes, stop, status):
    parameters = {} if name == "async-local-newton" else {"step_size": 0.05}
    solved = solve(SOLVERS[name](**parameters), logistic(nodes=nodes), **straggling(nodes), **stop)
    assert {outcome.status for outcome in solved.outcomes} == {status}


@ALL
@pytest.mark.parametrize("topology", ["ring", "star"])
def test_the_others_go_on_without_who_leaves(name, topology):
    spread = logistic(n=400, nodes=6)
    leave = tuple(Departure(node=node, at=at) for node, at in ((4, 0.003), (1, 0.01)))
    heterogeneity = Heterogeneity(seed=1, probability=0.2, departures=leave)
    parameters = {} if name == "async-local-newton" else {"step_size": 0.4}
    solved = solve(
        SOLVERS[name](**parameters),
        spread,
        **straggling(6, heterogeneity),
        topology=TOPOLOGIES[topology](),
        iterations=150,
    )
    steps = np.array([outcome.state.steps for outcome in solved.outcomes])
    assert steps[[1, 4]].max() < 0.5 * steps[[2, 3, 5]].min()


@pytest.mark.parametrize("pauses", [(), (Pause(2, 0.001, 0.001),)], ids=["at once", "after a pause"])
@FIRST_ORDER
def test_who_has_left_is_no_part_of_what_is_measured(name, pauses):
    spread = logistic(n=400, nodes=4)
    leave = (Departure(node=2, at=0.002),)
    conditions = straggling(4, Heterogeneity(departures=leave, pauses=pauses))
    complete = TOPOLOGIES["complete"]()
    _, best = spread.optimum()
    solved = solve(SOLVERS[name](step_size=0.2), spread, **conditions, topology=complete, target=best + 0.03)
    left = models(solved)[2]
    rest = np.delete(models(solved), 2, axis=0)
    model = solved.outcome.w
    assert solved.outcome.status is Status.TARGET
    assert np.linalg.norm(model - rest.mean(axis=0)) < 0.2 * np.linalg.norm(model - left)


@ALL
@pytest.mark.parametrize("node", [0, 2])
def test_a_pause_ends_with_the_run(name, node):
    conditions = straggling(4, Heterogeneity(pauses=(Pause(node, 0.01, 1e6),)))
    parameters = {} if name == "async-local-newton" else {"step_size": 0.05}
    if name == "agp":
        parameters["ahead"] = 4  # it diverges if a node stops, unless the others wait
    solved = solve(SOLVERS[name](**parameters), logistic(nodes=4), **conditions, seconds=0.2)
    assert {outcome.status for outcome in solved.outcomes} == {Status.SECONDS}
    assert 0.2 <= solved.rows[-1]["seconds"] < 0.3
    assert solved.nodes[node].now() < 0.3


# sgp


@pytest.mark.parametrize("topology", ["ring", "torus", "complete"])
def test_sgp_on_a_regular_graph_is_d_psgd_that_adapts_first(topology):
    spread = logistic(n=180, nodes=9)
    chosen = {"batch": 5, "step_size": 0.3}
    one, other = (
        solve(solver, spread, topology=TOPOLOGIES[topology](), iterations=40, record_every=0)
        for solver in (SGP(**chosen), DPSGD(**chosen, order="adapt-then-combine"))
    )
    assert_allclose(models(one), models(other), rtol=1e-10)


@pytest.mark.parametrize("topology", ["exponential", "one-peer-exponential", "star", "path", "barabasi-albert"])
def test_sgp_finds_the_mean_on_directed_and_irregular_graphs(topology):
    spread = ridge(n=140, nodes=7)
    solved = solve(
        SGP(step_size=ONE_STEP, batch=0), spread, topology=TOPOLOGIES[topology](), iterations=250, record_every=0
    )
    mean = -0.5 * spread.serial().at(np.zeros(spread.d)).gradient
    masses = np.array([outcome.state.mass for outcome in solved.outcomes])
    assert_allclose(masses.sum(axis=0), 7 * np.append(mean, 1.0), rtol=1e-12)
    assert_allclose(models(solved), np.tile(mean, (7, 1)), rtol=1e-4)


@pytest.mark.parametrize("topology", ["one-peer-exponential", "star", "barabasi-albert"])
def test_sgp_with_automatic_steps_comes_near_the_optimum(topology):
    spread = ridge(n=400, nodes=8)
    _, best = spread.optimum()
    solved = solve(SGP(batch=0), spread, topology=TOPOLOGIES[topology](), iterations=200, record_every=100)
    assert solved.rows[-1]["objective"] - best < 1e-3 * (solved.rows[0]["objective"] - best)


def test_the_smallest_weight_is_that_of_the_run():
    mixing = build(TOPOLOGIES["star"](), 8, 0)
    spread = logistic(nodes=8)
    lowest = min(
        min(
            outcome.state.mass[-1]
            for outcome in solve(SGP(), spread, topology=mixing, iterations=steps, record_every=0).outcomes
        )
        for steps in range(1, 8)
    )
    assert smallest_weight(mixing) == pytest.approx(lowest, rel=1e-3)
    assert smallest_weight(build(TOPOLOGIES["ring"](), 8, 0)) == pytest.approx(1.0)


# ad-psgd


@pytest.mark.parametrize("topology", ["complete", "star", "ring"])
@pytest.mark.parametrize("nodes", range(2, 10))
def test_ad_psgd_takes_no_lock_for_ever_however_contended(topology, nodes):
    spread = ridge(n=90, nodes=nodes)
    conditions = straggling(nodes, Heterogeneity(), SLOW)
    starts = np.random.default_rng(5).standard_normal((nodes, spread.d))
    solver = apart(ADPSGD, starts)(step_size=NO_STEP, batch=5)
    solved = solve(solver, spread, **conditions, topology=TOPOLOGIES[topology](), iterations=25, record_every=0)
    assert solved.outcome.status is Status.ITERATIONS
    assert locks(conditions["cluster"]) == [FREE] * nodes
    assert_allclose(models(solved).mean(axis=0), starts.mean(axis=0), rtol=1e-11)  # no average undid another


def test_ad_psgd_marks_who_has_left():
    conditions = straggling(5, Heterogeneity(departures=(Departure(node=3, at=0.001),)))
    solve(ADPSGD(), logistic(nodes=5), **conditions, topology=TOPOLOGIES["complete"](), iterations=60)
    assert locks(conditions["cluster"]) == [FREE, FREE, FREE, GONE, FREE]
    assert len({LOCKED, FREE, GONE}) == 3


def test_ad_psgd_sends_two_models_an_average():
    spread = logistic(nodes=4)
    solved = solve(ADPSGD(), spread, **straggling(4), iterations=20, record_every=0)
    for node, outcome in zip(solved.nodes, solved.outcomes, strict=True):
        account = node.ledger.solver
        averages = outcome.state.steps  # one each
        assert account.rounds == averages + 1  # and one for the step size
        assert sum(account.by_edge.values()) == averages * 2 * 8 * (spread.d + 1)
        assert account.by_class["locks"] >= averages * 2 * 8


def test_ad_psgd_counts_how_stale_gradients_are():
    stale = {
        nodes: solve(ADPSGD(), logistic(nodes=nodes), **straggling(nodes), iterations=40).outcomes for nodes in (1, 6)
    }
    assert sum(outcome.state.staleness for outcome in stale[1]) == 0
    each = [outcome.state.staleness / outcome.state.steps for outcome in stale[6]]
    assert 0.3 < np.mean(each) < 3.0  # each average counts for both partners


# agp


@pytest.mark.parametrize("topology", ["ring", "torus", "exponential"])
def test_agp_with_equal_speeds_is_sgp(topology):
    spread = logistic(n=180, nodes=9)
    chosen = {"batch": 5, "step_size": 0.3}
    one, other = (
        solve(solver, spread, **straggling(9, Heterogeneity()), topology=TOPOLOGIES[topology](), iterations=40)
        for solver in (AGP(**chosen), SGP(**chosen))
    )
    for row, expected in zip(one.rows[:40], other.rows[:40], strict=True):
        assert row["objective"] == pytest.approx(expected["objective"], rel=1e-10)


def of_two(slowness, **parameters):
    """Run on two nodes, the second one slower; return their states."""
    conditions = straggling(2, Heterogeneity(slow_nodes=(1,), node_slowdown=slowness))
    solved = solve(AGP(step_size=1e-3, **parameters), logistic(nodes=2), **conditions, seconds=0.5, record_every=0)
    return [outcome.state for outcome in solved.outcomes]


def test_agp_waits_as_its_guards_say():
    alone, slow = of_two(50.0, patience=0)
    assert slow.steps < alone.steps < 40 * slow.steps  # it soon has little weight left, and waits
    assert alone.mass[-1] > LEAST / 2
    patient, slow = of_two(50.0, patience=4)
    assert patient.steps <= 5 * (slow.steps + 1)
    near, slow = of_two(50.0, patience=0, ahead=6)
    assert slow.steps + 4 <= near.steps <= slow.steps + 7


@given(
    seed=st.integers(0, 1000),
    topology=st.sampled_from(["ring", "star", "complete", "exponential", "one-peer-exponential", "erdos-renyi"]),
    nodes=st.integers(2, 9),
    patience=st.integers(0, 3),
    ahead=st.integers(0, 3),
    latency=st.sampled_from([1e-7, 1e-3]),
)
@settings(max_examples=25, deadline=None)
def test_agp_always_goes_on_and_loses_no_mass(seed, topology, nodes, patience, ahead, latency):
    heterogeneity = Heterogeneity(
        seed=seed, probability=0.3, slowdown=30.0, slow_nodes=0.3, distribution="uniform", spread=0.1
    )
    solver = AGP(step_size=1e-3, patience=patience, ahead=0 if topology == "one-peer-exponential" else ahead)
    solved = solve(
        solver,
        logistic(nodes=nodes),
        **straggling(nodes, heterogeneity, Network(latency=latency)),
        topology=TOPOLOGIES[topology](),
        iterations=40,
        record_every=0,
        seed=seed,
    )
    assert solved.outcome.status is Status.ITERATIONS
    assert sum(outcome.state.mass[-1] for outcome in solved.outcomes) == pytest.approx(nodes, rel=1e-12)


# prague


def test_prague_with_one_group_and_equal_speeds_is_exact_averaging():
    spread = logistic(n=120, nodes=6)
    chosen = {"batch": 5, "step_size": 0.3}
    conditions = straggling(6, Heterogeneity())
    one = solve(Prague(group_size=6, **chosen), spread, **conditions, iterations=40)
    other = solve(DPSGD(order="adapt-then-combine", **chosen), spread, topology=TOPOLOGIES["complete"](), iterations=40)
    for row, expected in zip(one.rows[:40], other.rows[:40], strict=True):
        assert row["objective"] == pytest.approx(expected["objective"], rel=1e-10)
        assert row["consensus"] < 1e-12


def test_a_group_sends_each_model_there_and_back():
    spread = logistic(nodes=6)
    solved = solve(Prague(group_size=3), spread, **straggling(6, Heterogeneity()), iterations=10, record_every=0)
    accounts = [node.ledger.solver for node in solved.nodes]
    averaged = {outcome.state.iteration for outcome in solved.outcomes}
    assert len(averaged) == 1  # in step, two groups at a time
    assert sum(a.by_class["neighbour"] for a in accounts) == averaged.pop() * 2 * (2 * 2) * 8 * spread.d


def test_no_prague_worker_carries_much_more_than_others():
    solved = solve(Prague(step_size=0.05), logistic(n=240, nodes=12), iterations=200, record_every=0)
    sent = np.array([node.ledger.solver.by_class["neighbour"] for node in solved.nodes])
    assert sent.max() < 1.5 * sent.min()


def test_one_group_of_all_goes_through_each_member_by_turns():
    solved = solve(Prague(group_size=4), logistic(n=80, nodes=4), iterations=40, record_every=0)
    sent = np.array([node.ledger.solver.by_class["neighbour"] for node in solved.nodes])
    assert sent.max() < 1.2 * sent.min()


# async-local-newton


@pytest.mark.parametrize("local_steps", [1, 3])
def test_in_step_and_among_all_it_is_local_newton(local_steps):
    spread = logistic(n=200, nodes=5)
    complete = TOPOLOGIES["complete"]()
    conditions = straggling(5, Heterogeneity())
    one = solve(AsyncLocalNewton(local_steps=local_steps), spread, **conditions, topology=complete, iterations=6)
    other = solve(LocalNewton(local_steps=local_steps), spread, iterations=6)
    for row, expected in zip(one.rows[:6], other.rows[:6], strict=True):
        assert row["objective"] == pytest.approx(expected["objective"], rel=1e-10)


def test_damped_newton_steps_go_part_of_the_way():
    spread = ridge(n=200, nodes=5)
    first = [
        solve(
            AsyncLocalNewton(damping=damping),
            spread,
            **straggling(5, Heterogeneity()),
            topology=TOPOLOGIES["complete"](),
            iterations=1,
        ).rows[1]["objective"]
        for damping in (1.0, 0.5)
    ]
    start, best = spread.serial().at(np.zeros(spread.d)).value, first[0]
    assert first[1] - best == pytest.approx(0.25 * (start - best), rel=0.05)  # of a quadratic, near its minimum


# real ranks


@pytest.mark.mpi
@requires_mpi
def test_on_real_ranks_by_one_sided_operations_and_by_messages():
    root = Path(__file__).resolve().parents[1]
    program = root / "tests" / "ranks" / "comparators.py"
    done = python_ranks(3, program, "one-sided", "two-sided", env={"PYTHONPATH": str(root)})
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == 3


# refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AGP(patience=-1), "patience: at least 0"),
        (lambda: AGP(ahead=-1), "ahead: at least 0"),
        (lambda: Prague(group_size=1), "group_size: at least 2"),
        (lambda: Prague(slack=-2), "slack: at least -1"),
        (lambda: ADPSGD(batch=-1), "batch: at least 0"),
        (lambda: SGP(step_size=0.0), "step_size: expected a number > 0"),
        (lambda: AsyncLocalNewton(local_steps=0), "local_steps: at least 1"),
        (lambda: AsyncLocalNewton(damping=0.0), "damping: above 0 and at most 1"),
        (lambda: AsyncLocalNewton(rule="none"), "rule: one of unseen, component"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
