"""DSGD-AAU on the virtual cluster: invariants of iterations, epochs and runs, and special cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.errors import InputError
from hpcopt.fabric.heterogeneity import Departure, Heterogeneity, Pause
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.dsgd_aau import DSGDAAU
from hpcopt.topology import TOPOLOGIES, build
from tests.averaging import Logged, check_log

STRAGGLERS = Heterogeneity(seed=3, probability=0.2, slowdown=10.0, distribution="uniform", spread=0.1)
QUICK = Network(latency=1e-7, bandwidth=1e10)


@dataclass(frozen=True, kw_only=True)
class Apart(Logged):
    """Workers with individual starting models, (n, d), that take no steps."""

    starts: np.ndarray

    def init(self, node, f, w0):
        return replace(super().init(node, f, w0), w=self.starts[node.rank].copy())

    def adapter(self, node, f, s):  # noqa: ARG002
        def stay(w, factor):
            f.gradient_of_rows(w, np.arange(5))  # takes its time
            return w.copy()

        return stay


def straggling(n, heterogeneity=STRAGGLERS, network=QUICK):
    """Return the arguments of `solve` for such a run."""
    return {"cluster": VirtualCluster(n, network, flops=1e6), "heterogeneity": heterogeneity}


def logged(n=6, topology="erdos-renyi", iterations=60, **parameters):
    """Run with a log; return the solver, the network and the run."""
    solver = Logged(step_size=0.2, batch=5, **parameters)
    mixing = build(TOPOLOGIES[topology](), n, 1)
    spread = logistic(n=30 * n, nodes=n)
    return solver, mixing, solve(solver, spread, topology=mixing, **straggling(n), iterations=iterations)


@pytest.mark.parametrize("rule", ["unseen", "component"])
@pytest.mark.parametrize("members", ["all_linked", "all", "piece", "star"])
def test_what_holds_in_every_iteration_and_epoch(rule, members):
    solver, mixing, solved = logged(rule=rule, members=members)
    models = [outcome.state.w for outcome in solved.outcomes]
    check_log(solver.log, mixing, np.zeros(6), models, rule)


@pytest.mark.parametrize("overlap", [False, True])
def test_gradients_are_counted(overlap):
    solver, _, solved = logged(overlap=overlap)
    record = solved.outcome.record
    assert record.gradients == len(solver.log) + record.discarded
    assert 0 < record.discarded <= 6


def test_forced_onto_one_way_edges_it_takes_them_both_ways():
    solver, mixing, solved = logged(topology="one-peer-exponential")
    assert mixing.one_way
    assert solved.outcome.record.iteration == 60
    neighbours = {(entry.rank, rank) for entry in solver.log for rank in entry.turn.ranks.tolist()}
    assert neighbours == {(j, i) for i, j in neighbours}


def test_same_seed_same_trace():
    first, second = logged()[-1], logged()[-1]
    assert first.rows == second.rows
    np.testing.assert_array_equal(first.w, second.w)


def test_recording_disturbs_neither_order_nor_bytes():
    spread = logistic(nodes=6)
    solver = DSGDAAU(step_size=0.2, batch=5)
    runs = [solve(solver, spread, **straggling(6), iterations=40, record_every=every) for every in (0, 1, 3)]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.w, runs[0].w)
        for column in ("bytes", "messages", "gradients", "seconds", "iteration"):
            assert getattr(run.outcome.record, column) == getattr(runs[0].outcome.record, column)
    assert len(runs[0].rows) == 2 < len(runs[2].rows) < len(runs[1].rows)


@pytest.mark.parametrize(("topology", "nodes"), [("ring", 5), ("complete", 4), ("torus", 9)])
def test_equal_speeds_are_d_psgd_bit_for_bit(topology, nodes):
    spread = ridge(n=20 * nodes, nodes=nodes)
    network = TOPOLOGIES[topology]()
    settings = {"step_size": 0.05, "batch": 0}
    ours = solve(DSGDAAU(**settings), spread, topology=network, iterations=15)
    theirs = solve(SOLVERS["d-psgd"](order="adapt-then-combine", **settings), spread, topology=network, iterations=15)
    assert ours.outcome.state.iteration == 15
    for one, other in zip(ours.outcomes, theirs.outcomes, strict=True):
        np.testing.assert_allclose(one.state.w, other.state.w, rtol=1e-15, atol=1e-16)


def test_everybody_ready_on_a_complete_graph_is_minibatch_sgd():
    spread = ridge(nodes=4)
    solved = solve(DSGDAAU(step_size=0.05, batch=0), spread, topology=TOPOLOGIES["complete"](), iterations=20)
    central = solve(SOLVERS["sgd"](step_size=0.05, batch=0), spread, iterations=20)
    np.testing.assert_allclose(solved.w, central.w, rtol=1e-12, atol=1e-14)
    assert solved.outcome.record.consensus < 1e-14


def test_two_nodes_average_every_step_at_any_speed():
    solver = Logged(step_size=0.1, batch=5)
    cluster = VirtualCluster(2, QUICK, flops=1e6, speeds=[1.0, 0.1])
    solve(solver, logistic(n=60, nodes=2), cluster=cluster, topology=TOPOLOGIES["complete"](), iterations=10)
    assert all(entry.turn.weights.tolist() == [0.5, 0.5] for entry in solver.log)
    assert len(solver.log) % 2 == 0


def test_without_steps_only_the_disagreement_shrinks():
    """eta = 0: the mean is preserved, the squared distance to it never rises, and falls over each epoch."""
    spread = logistic(n=120, nodes=6)
    starts = np.random.default_rng(0).standard_normal((6, 6))
    solver = Apart(starts=starts)
    solved = solve(solver, spread, **straggling(6), topology=TOPOLOGIES["ring"](), iterations=80)
    np.testing.assert_allclose(solved.w, starts.mean(axis=0), rtol=0, atol=1e-13)
    models, distances, epochs = starts.copy(), [], []
    for entry in sorted(solver.log, key=lambda entry: entry.k):
        models[entry.rank] = entry.after
        distances.append(((models - starts.mean(axis=0)) ** 2).sum())
        epochs.append(entry.epoch)
    by_epoch = dict(zip(epochs, distances, strict=True))  # at its end
    ends = [by_epoch[epoch] for epoch in sorted(by_epoch)][:-1]
    assert len(ends) >= 3
    assert all(after < before for before, after in pairwise(ends))
    assert distances[-1] < 1e-2 * distances[0]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"rule": "component"},
        {"overlap": True},
        {"grace": 2e-4},
        {"weight": "inverse-rate"},
        {"compressor": COMPRESSORS["qsgd"](levels=64)},
        {"compressor": COMPRESSORS["top-k"](fraction=0.5), "gamma": 0.5},
    ],
    ids=lambda p: "-".join(p) or "default",
)
def test_it_trains_under_stragglers(parameters):
    spread = logistic(n=240, nodes=8)
    target = spread.optimum()[1] + 2e-3
    solver = DSGDAAU(step_size=0.3, batch=10, **parameters)
    topology = TOPOLOGIES["random-regular"](degree=3)
    solved = solve(solver, spread, **straggling(8), topology=topology, target=target, iterations=5000)
    assert solved.outcome.status.reached


def test_exact_messages_over_edges_give_the_plain_average():
    """Compressed exchange with a compressor that loses nothing: the same models up to roundoff."""
    spread = ridge(nodes=5)
    exact = COMPRESSORS["top-k"](fraction=1.0)
    runs = [
        solve(DSGDAAU(step_size=0.05, batch=0, compressor=compressor), spread, iterations=12)
        for compressor in (COMPRESSORS["identity"](), exact)
    ]
    np.testing.assert_allclose(runs[0].w, runs[1].w, rtol=1e-9, atol=1e-12)


def test_a_compressed_exchange_keeps_the_mean():
    spread = logistic(n=120, nodes=6)
    compressor = COMPRESSORS["sign"]()
    starts = np.random.default_rng(0).standard_normal((6, 6))

    solver = Apart(starts=starts, compressor=compressor)
    topology = TOPOLOGIES["complete"]()
    solved = solve(solver, spread, **straggling(6), topology=topology, iterations=200)
    assert solved.outcome.record.consensus < 0.1 * solved.rows[0]["consensus"]
    np.testing.assert_allclose(solved.w, starts.mean(axis=0), rtol=0, atol=1e-12)


def test_inverse_rates_help_slow_nodes_to_their_weight():
    """A node that is always slow takes part rarely; its shard counts for less unless its steps are larger."""
    spread = ridge(n=80, nodes=4, l2=0.5)
    rng = np.random.default_rng(1)
    y = spread.y.copy()
    y[60:] += 5.0 + rng.standard_normal(20)  # the slow node's rows have a different optimum
    spread = replace(spread, y=y)
    best = spread.optimum()[0]
    errors = {}
    for weight in ("equal", "inverse-rate"):
        cluster = VirtualCluster(4, QUICK, flops=1e6, speeds=[1.0, 1.0, 1.0, 0.2])
        solver = DSGDAAU(step_size=0.01, batch=0, weight=weight)
        solved = solve(solver, spread, cluster=cluster, topology=TOPOLOGIES["complete"](), iterations=3000)
        errors[weight] = np.linalg.norm(solved.w - best)
    assert errors["inverse-rate"] < 0.7 * errors["equal"]


@pytest.mark.parametrize("rule", [{"rounds": 7}, {"iterations": 9}, {"seconds": 0.02}, {"bytes": 20_000}])
def test_every_budget_ends_the_run_soon_after_it_is_used_up(rule):
    solved = solve(DSGDAAU(step_size=0.1, batch=5), logistic(nodes=6), **straggling(6), **rule)
    assert solved.outcome.status.name.lower() == next(iter(rule))
    ((name, budget),) = rule.items()
    column = {"rounds": "round", "iterations": "iteration"}.get(name, name)
    assert budget <= getattr(solved.outcome.record, column) <= 3 * budget
    assert all(outcome.status is solved.outcome.status for outcome in solved.outcomes)


def test_a_target_ends_the_run_where_it_was_seen():
    spread = logistic(nodes=6)
    target = spread.optimum()[1] + 0.02
    solved = solve(DSGDAAU(step_size=0.3, batch=5), spread, **straggling(6), target=target)
    assert solved.outcome.record.objective <= target
    assert solved.rows[-1]["objective"] == solved.outcome.record.objective
    np.testing.assert_allclose(spread.serial().at(solved.w).value, solved.outcome.record.objective, rtol=1e-12)


def test_a_diverging_run_ends():
    solved = solve(DSGDAAU(step_size=50.0, batch=0), ridge(nodes=5), **straggling(5), iterations=5000)
    assert solved.outcome.status.diverged
    assert np.isfinite(solved.w).all()


def test_workers_leave_and_pause_while_the_others_go_on():
    heterogeneity = replace(
        STRAGGLERS,
        departures=(Departure(node=2, at=0.01), Departure(node=0, at=0.02)),
        pauses=(Pause(node=1, at=0.005, seconds=0.02),),
    )
    spread = logistic(n=180, nodes=6)
    conditions = straggling(6, heterogeneity)
    solved = solve(DSGDAAU(step_size=0.2, batch=10), spread, **conditions, seconds=0.1)
    steps = [outcome.state.steps for outcome in solved.outcomes]
    assert max(steps[0], steps[2]) < min(steps[i] for i in (1, 3, 4, 5))
    assert solved.outcome.status.name == "SECONDS"
    stayed = np.mean([solved.outcomes[i].state.w for i in (1, 3, 4, 5)], axis=0)
    np.testing.assert_allclose(solved.w, stayed, rtol=0, atol=1e-14)  # nodes that have left no longer count
    seen = [row["seconds"] for row in solved.rows]
    assert max(seen[:-1]) > 0.09  # measured to the end


def test_a_run_whose_workers_have_all_left_ends():
    departures = tuple(Departure(node=node, at=0.005 * (1 + node)) for node in range(3))
    conditions = straggling(3, replace(STRAGGLERS, departures=departures))
    solved = solve(DSGDAAU(step_size=0.2, batch=10), logistic(nodes=3), **conditions, iterations=10**6)
    assert solved.outcome.status.name == "LEFT"


def test_all_alone_it_is_sgd():
    spread = ridge(nodes=1)
    solved = solve(DSGDAAU(step_size=0.05, batch=0), spread, iterations=30)
    central = solve(SOLVERS["sgd"](step_size=0.05, batch=0), spread, iterations=30)
    np.testing.assert_allclose(solved.w, central.w, rtol=1e-13)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"rule": "fresh"}, "rule: one of unseen, component; got 'fresh'"),
        ({"members": "some"}, "members: one of all_linked, all, piece, star; got 'some'"),
        ({"grace": -1.0}, "grace: at least 0, got -1.0"),
        ({"gamma": 2.0}, 'gamma: expected a number above 0 and at most 1, or "auto"; got 2.0'),
        ({"weight": "more"}, "weight: one of equal, inverse-rate; got 'more'"),
        ({"overlap": True, "compressor": COMPRESSORS["sign"]()}, "overlap: requires uncompressed models"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, line):
    with pytest.raises(InputError, match="^" + line.replace("(", r"\(").replace(")", r"\)").replace("'", ".")):
        DSGDAAU(**parameters)
