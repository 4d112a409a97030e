"""Multi-Level Local SGD beyond what every solver is tested for: its invariants, its special cases, its extensions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hpcopt.compression.identity import Identity
from hpcopt.compression.qsgd import QSGD
from hpcopt.compression.top_k import TopK
from hpcopt.conformance.check import expect_same_rows
from hpcopt.conformance.problems import equal, logistic, ridge
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.errors import InputError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.network import Link, Network
from hpcopt.fabric.place import Place
from hpcopt.fabric.streams import Draw, key
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.parts.batches import shuffled_rows
from hpcopt.solvers.parts.hub_averaging import HubAveraging
from hpcopt.solvers.parts.hub_mixing import HubMixing
from hpcopt.solvers.parts.step_size import Schedule
from hpcopt.spec.solver_tables import build_solver
from hpcopt.topology import TOPOLOGIES, build
from hpcopt.topology.hubs import Hubs

MultilevelSGD, LocalSGD, SGD, HLSGD = (SOLVERS[name] for name in ("multilevel-sgd", "local-sgd", "sgd", "hl-sgd"))
Cooperative, Newton = SOLVERS["cooperative-sgd"], SOLVERS["multilevel-local-newton"]
ETA = 0.05


def dense(network, a):
    """Return V of each level, and Z, of shape (nodes, nodes), written from the definition."""
    operators, n = [], network.size
    spoken = {rank: [rank] for rank in range(n)}  # whom a node speaks for
    for level in network.levels:
        V = np.zeros((n, n))
        above = {}
        for group in level:
            members = [rank for speaker in group for rank in spoken[speaker]]
            share = np.array([a[rank] for rank in members]) / sum(a[rank] for rank in members)
            V[np.ix_(members, members)] = share[:, np.newaxis]
            above[group[0]] = members
        operators.append(V)
        spoken = above
    b = np.array([sum(a[rank] for rank in spoken[top]) for top in network.top])
    H = network.mixing(b).matrices[0].toarray().T
    Z = np.zeros((n, n))
    for j, source in enumerate(network.top):
        for d, target in enumerate(network.top):
            Z[np.ix_(spoken[source], spoken[target])] = H[j, d] * (a[spoken[source]] / b[j])[:, np.newaxis]
    return [*operators, Z]


def gradients(spread, w):
    """Return the gradient of each node's shard at its own model, columns of w, for the squared loss."""
    ends = np.cumsum([0, *spread.sizes])
    parts = zip(ends, ends[1:], w.T, strict=False)
    return np.array(
        [spread.X[i:j].T @ (spread.X[i:j] @ x - spread.y[i:j]) / (j - i) + spread.l2 * x for i, j, x in parts]
    ).T


def reference(spread, network, *, tau, periods, rates, rounds, a, seed=0):
    """Run the matrix form X <- (X - eta G) T_k with full gradients; yield X after every round."""
    T, n = dense(network, a), network.size
    X = np.zeros((spread.d, n))
    for r in range(1, rounds + 1):
        slots = (r - 1) * tau
        count = np.full(n, tau)
        for rank, rate in enumerate(rates or ()):
            if rate < 1.0:
                draws = np.random.Generator(np.random.Philox(key=key(seed, rank, Draw.SLOTS, slots))).random(tau)
                count[rank] = np.count_nonzero(draws < rate)
        for step in range(tau):
            X = X - ETA * gradients(spread, X) * (step < count)
        due = sum(r % period == 0 for period in np.cumprod(periods))
        yield (X := X @ T[due])


@settings(max_examples=30, deadline=None)
@given(some.data())
def test_it_is_the_matrix_form_for_any_network(data):
    """The models after each round, and with them the mean u, which only the gradients move."""
    nodes = data.draw(some.integers(2, 9))
    hubs = data.draw(some.integers(1, nodes))
    groups = (data.draw(some.integers(1, hubs)),) if data.draw(some.booleans()) else ()
    graph = data.draw(some.sampled_from(["path", "complete", "star"]))
    tau, rounds = data.draw(some.integers(1, 3)), 7
    periods = [data.draw(some.integers(1, 3)) for _ in range(1 + len(groups))]
    rates = tuple(data.draw(some.lists(some.sampled_from([0.3, 0.8, 1.0]), min_size=nodes, max_size=nodes)))
    table = Hubs(
        hubs=hubs, groups=groups, graph=graph, matrix=data.draw(some.sampled_from(["laplacian", "metropolis"]))
    )
    weights = tuple(data.draw(some.lists(some.sampled_from([0.5, 1.0, 3.0]), min_size=nodes, max_size=nodes)))
    spread = ridge(nodes=nodes)
    network = table.network(nodes)
    solver = MultilevelSGD(local_steps=tau, hub_period=tuple(periods), batch=0, step_size=ETA, weights=weights)
    a = np.array(weights) / sum(weights)
    ours = solve(solver, spread, hubs=table, rates=rates, iterations=rounds)
    *_, X = reference(spread, network, tau=tau, periods=periods, rates=rates, rounds=rounds, a=a)
    for outcome, x in zip(ours.outcomes, X.T, strict=True):
        np.testing.assert_allclose(outcome.state.w, x, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ours.w, X @ a, rtol=1e-11, atol=1e-12)


def test_one_hub_is_local_sgd_bit_for_bit():
    spread, one = logistic(nodes=5), Hubs(hubs=1)
    for weights in ("rows", "equal"):
        asked = {"local_steps": 4, "batch": 3, "weights": weights}
        ours = solve(MultilevelSGD(hub_period=1, **asked), spread, hubs=one, iterations=9)
        np.testing.assert_array_equal(ours.w, solve(LocalSGD(**asked), spread, iterations=9).w)


def test_one_hub_and_one_step_are_gradient_descent():
    spread = logistic(nodes=5)
    asked = {"batch": 0, "step_size": 0.3}
    ours = solve(MultilevelSGD(local_steps=1, hub_period=1, **asked), spread, hubs=Hubs(hubs=1), iterations=9)
    np.testing.assert_allclose(ours.w, solve(SGD(**asked), spread, iterations=9).w, rtol=1e-12)


def local_steps(spread, x, start, *, steps, batch, eta):
    """Return what SGD steps at each node make of its model, with the rows that are drawn for them."""
    after = []
    for rank, (f, w) in enumerate(zip(spread.objectives(), x, strict=True)):
        draws = np.random.Generator(np.random.Philox(key=key(0, rank, Draw.BATCH, start)))
        after.append(f.sgd(w, shuffled_rows(draws, f.n, batch * steps), batch, np.full(steps, eta)))
    return after


def added(weights, models):
    """Return the weighted sum, the products added in their order."""
    return np.add.reduce(np.stack([weight * model for weight, model in zip(weights, models, strict=True)]), axis=0)


def test_hierarchical_local_sgd_is_a_plain_loop_bit_for_bit():
    """Three sub-networks of two workers: their mean after every two steps, the mean of all after every six."""
    spread, table = logistic(n=122, nodes=6), Hubs(hubs=3)
    pairs, n = [(0, 1), (2, 3), (4, 5)], np.array(spread.sizes, dtype=float)
    x = [np.zeros(spread.d)] * 6
    for r in range(1, 10):
        x = local_steps(spread, x, 2 * (r - 1), steps=2, batch=3, eta=ETA)
        z = [added([n[i] / (n[i] + n[j]), n[j] / (n[i] + n[j])], [x[i], x[j]]) for i, j in pairs]
        if r % 3 == 0:
            z = [added([(n[i] + n[j]) / n.sum() for i, j in pairs], z)] * 3
        x = [z[i // 2] for i in range(6)]
    asked = {"local_steps": 2, "hub_period": 3, "batch": 3, "step_size": ETA}
    solved = solve(HLSGD(**asked), spread, hubs=table, iterations=9)
    for outcome, w in zip(solved.outcomes, x, strict=True):
        np.testing.assert_array_equal(outcome.state.w, w)
    mixing = solve(MultilevelSGD(**asked), spread, hubs=table, iterations=9)  # on a complete graph: the same, rounded
    np.testing.assert_allclose(mixing.w, solved.w, rtol=1e-12)


def test_cooperative_sgd_is_a_plain_loop_bit_for_bit():
    """A ring of six nodes: each node's steps, then a third of its neighbours' models and of its own."""
    spread, ring = logistic(nodes=6), TOPOLOGIES["ring"]()
    rows = build(ring, 6).matrices[0].toarray()
    x = [np.zeros(spread.d)] * 6
    for r in range(8):
        x = local_steps(spread, x, 3 * r, steps=3, batch=4, eta=ETA)
        near = [sorted({(i - 1) % 6, i, (i + 1) % 6}) for i in range(6)]
        x = [added(rows[i, near[i]], [x[j] for j in near[i]]) for i in range(6)]
    asked = {"local_steps": 3, "batch": 4, "step_size": ETA}
    solved = solve(Cooperative(**asked), spread, topology=ring, iterations=8)
    table = Hubs(hubs=6, graph="ring", matrix="metropolis")
    hubs = solve(MultilevelSGD(hub_period=1, weights="equal", **asked), spread, hubs=table, iterations=8)
    for one, other, w in zip(solved.outcomes, hubs.outcomes, x, strict=True):
        np.testing.assert_array_equal(one.state.w, w)
        np.testing.assert_allclose(other.state.w, w, rtol=1e-12)  # the weights of H are rounded otherwise


def averaged(table, nodes, weights, times, *, d=3, due=None, compressor=None, gamma=1.0):
    """Average random models `times` times in a hub network; return them and what is left of them, (nodes, d) each."""
    network = table.network(nodes)
    x = np.random.default_rng(0).standard_normal((nodes, d))

    def program(node):
        place = Place(node, weights[node.rank])
        copies = np.zeros(d), np.zeros(d)
        average = HubAveraging(place, HubMixing(node, place, compressor or Identity(), gamma, d, *copies), None)
        w = x[node.rank]
        for step in range(times):
            w = average.mean(w, due or len(network.levels) + 1, step)
        return w

    return network, x, np.array(VirtualCluster(nodes).run(program, Conditions(hubs=network)))


@pytest.mark.parametrize("matrix", ["laplacian", "metropolis"])
@pytest.mark.parametrize("table", [{"hubs": 5}, {"hubs": 6, "groups": (3,)}, {"hubs": 8, "groups": (6, 4)}])
def test_disagreement_falls_by_the_second_eigenvalue_at_every_mixing(matrix, table):
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 16)
    hubs = Hubs(graph="path", matrix=matrix, **table)
    network, x, first = averaged(hubs, 16, weights, 1)
    _, _, last = averaged(hubs, 16, weights, 9)
    a = weights / weights.sum()
    zeta = network.mixing(network.top_weights(a)).second_eigenvalue
    apart = [np.sqrt(a @ ((w - a @ x) ** 2).sum(axis=1)) for w in (first, last)]
    assert apart[1] <= apart[0] * zeta**8 * (1 + 1e-9)
    np.testing.assert_allclose(a @ last, a @ x, rtol=1e-12)


def test_a_complete_graph_agrees_at_once_and_a_sub_network_alone_at_its_own_mean():
    weights = np.arange(1.0, 7.0)
    _, x, mixed = averaged(Hubs(hubs=3), 6, weights, 1)
    np.testing.assert_allclose(mixed, np.tile(weights / weights.sum() @ x, (6, 1)), rtol=1e-12)
    _, x, own = averaged(Hubs(hubs=3), 6, weights, 1, due=1)
    np.testing.assert_allclose(own[2:4], np.tile(weights[2:4] / weights[2:4].sum() @ x[2:4], (2, 1)), rtol=1e-12)


@pytest.mark.parametrize("compressor", [TopK(fraction=0.34), Identity()])
def test_compressed_hub_links_keep_the_mean_and_agree_in_the_end(compressor):
    weights = np.arange(1.0, 13.0)
    hubs = Hubs(hubs=4, graph="ring")
    _, x, mixed = averaged(hubs, 12, weights, 500, compressor=compressor, gamma=0.3)
    mean = weights / weights.sum() @ x
    np.testing.assert_allclose(weights / weights.sum() @ mixed, mean, rtol=1e-12)
    np.testing.assert_allclose(mixed, np.tile(mean, (12, 1)), atol=1e-6)


def test_steps_are_made_with_the_operating_rate():
    """4 sigma of a binomial distribution, node by node; what is not a step passes idle."""
    rates, slots = (0.2, 0.55, 0.9, 1.0), 4000
    spread = ridge(nodes=4)
    solved = solve(MultilevelSGD(local_steps=8, batch=1, step_size=1e-3), spread, rates=rates, iterations=slots // 8)
    for node, rate in zip(solved.nodes, rates, strict=True):
        assert node.slots.count == slots
        assert abs(node.slots.steps - rate * slots) <= 4 * np.sqrt(rate * (1 - rate) * slots)
    assert solved.rows[-1]["slots"] == slots
    assert solved.rows[-1]["gradients"] == sum(node.slots.steps for node in solved.nodes)


def test_a_worker_without_a_step_leaves_its_share_as_it_was():
    spread, tiny = ridge(nodes=3), 1e-300  # a rate that no draw is below
    hubs = Hubs(hubs=1)
    asked = {"local_steps": 2, "batch": 0, "step_size": ETA, "weights": "equal"}
    ours = solve(MultilevelSGD(**asked), spread, hubs=hubs, rates=(1.0, tiny, 1.0), iterations=1)
    everyone = [solve(MultilevelSGD(**asked), part, hubs=hubs, iterations=1).w for part in singles(spread)]
    np.testing.assert_allclose(ours.w, (everyone[0] + everyone[2]) / 3, rtol=1e-12)


def singles(spread):
    """Return the problem of each node alone."""
    ends = np.cumsum([0, *spread.sizes])
    return [type(spread)(spread.loss, spread.X[i:j], spread.y[i:j], spread.l2, [j - i]) for i, j in pairwise(ends)]


def test_waiting_for_slow_workers_takes_as_many_slots_as_the_slowest_needs():
    """With one of ten at 0.6 and nine at 0.9, 32 steps take about 63 slots: 1.97 times as many."""
    spread = ridge(nodes=100)
    hubs = Hubs(hubs=10)
    rates = tuple([0.6] + [0.9] * 9) * 10
    asked = {"local_steps": 8, "hub_period": 4, "batch": 1, "step_size": 1e-3}
    for kind, iterations in ((HLSGD, 40), (MultilevelSGD, 40)):
        slots = solve(kind(**asked), spread, hubs=hubs, rates=rates, iterations=iterations).rows[-1]["slots"]
        assert slots == 320 if kind is MultilevelSGD else 1.85 < slots / 320 < 2.1
    local = solve(LocalSGD(local_steps=32, step_size=1e-3), spread, rates=rates, iterations=10).rows[-1]["slots"]
    assert 1.85 < local / 320 < 2.1


def test_slots_take_time_whether_or_not_a_step_is_made():
    spread = ridge(nodes=4)
    asked = {"local_steps": 8, "batch": 1, "step_size": 1e-3}
    always = solve(MultilevelSGD(**asked), spread, iterations=40).rows[-1]["seconds"]
    rarely = solve(MultilevelSGD(**asked), spread, rates=(0.3,) * 4, iterations=40).rows[-1]["seconds"]
    assert rarely == pytest.approx(always, rel=0.02)


def test_slots_before_the_first_step_pass_while_others_are_waited_for():
    """A worker that hardly ever steps delays nobody: rounds last as long as those of the worker that always does."""
    spread, one = ridge(nodes=2, n=400), Hubs(hubs=1)
    asked = {"local_steps": 8, "batch": 8, "step_size": 1e-3}

    def seconds(rates):
        cluster = VirtualCluster(2, Network(0.0, 1e15))
        return solve(MultilevelSGD(**asked), spread, cluster=cluster, hubs=one, rates=rates, iterations=60).rows[-1]

    both, seldom = seconds((1.0, 1.0)), seconds((1.0, 0.02))
    assert 480 < seldom["gradients"] < 500
    assert seldom["seconds"] == pytest.approx(both["seconds"], rel=1e-3)


def test_equal_rates_do_not_bias_and_unequal_ones_do_unless_normalised():
    """The fixed point is that of sum a_i p_i f_i; step sizes eta / p_i restore that of sum a_i f_i."""
    spread = ridge(nodes=4, n=200)
    best = spread.optimum()[0]
    asked = {"local_steps": 4, "hub_period": 1, "batch": 0}
    rates = (1.0, 1.0, 0.2, 0.2)

    def distance(**options):
        solver = MultilevelSGD(step_size=Schedule(initial=0.05, decay=0.02), **asked, **options)
        w = solve(solver, spread, hubs=Hubs(hubs=1), rates=rates, iterations=600).w
        return np.linalg.norm(w - best)

    plain, by_rates = distance(), distance(normalise="rates")
    assert by_rates < 0.3 * plain


def test_the_outer_optimiser_changes_nothing_at_learning_rate_one():
    spread, hubs = logistic(nodes=6), Hubs(hubs=2)
    asked = {"local_steps": 2, "hub_period": 2, "batch": 4}
    plain = solve(MultilevelSGD(**asked), spread, hubs=hubs, iterations=8)
    outer = solve(MultilevelSGD(outer_step=1.0 + 1e-15, **asked), spread, hubs=hubs, iterations=8)
    np.testing.assert_allclose(outer.w, plain.w, rtol=1e-12)
    faster = solve(MultilevelSGD(outer_momentum=0.5, **asked), spread, hubs=hubs, iterations=8)
    assert faster.rows[-1]["objective"] < plain.rows[-1]["objective"]


def under_dedicated_hubs(spread):
    """Return a problem of six workers, ranks 1 to 3 and 5 to 7, under the hubs 0 and 4."""
    sizes = equal(len(spread.y), 6)
    return spread.over(0, *sizes[:3], 0, *sizes[3:])


def test_dedicated_hubs_give_the_same_iterates_as_colocated_ones():
    """With full gradients: the draws of batches are keyed by rank."""
    spread = logistic(nodes=6)
    asked = {"local_steps": 2, "hub_period": 2, "batch": 0, "step_size": 0.2}
    colocated = solve(MultilevelSGD(**asked), spread, hubs=Hubs(hubs=2), iterations=8)
    hubs = Hubs(hubs=2, placement="dedicated")
    dedicated = solve(MultilevelSGD(**asked), under_dedicated_hubs(spread), hubs=hubs, iterations=8)
    np.testing.assert_allclose(dedicated.w, colocated.w, rtol=1e-12)
    sent = dedicated.records[-1].bytes_by_link
    assert sent == {"worker-hub": 8 * 2 * 6 * 8 * spread.d, "hub-hub": 4 * 2 * 8 * spread.d, "world": 0}


def test_hubs_without_rows_make_no_steps_of_sgd_and_local_sgd():
    spread, hubs = under_dedicated_hubs(logistic(nodes=6)), Hubs(hubs=2, placement="dedicated")
    for solver, steps in ((SGD(batch=2, step_size=0.1), 5), (LocalSGD(batch=2, local_steps=3), 15)):
        row = solve(solver, spread, hubs=hubs, rates=(1.0,) * 8, iterations=5).rows[-1]
        assert (row["slots"], row["gradients"]) == (steps, 6 * steps)


def test_overlap_keeps_the_mean_and_hides_the_hubs_exchange():
    table = Hubs(hubs=2, placement="dedicated", graph="path")
    spread = under_dedicated_hubs(ridge(n=1200))
    slow = {"latency": 1e-4, "bandwidth": 1e9}
    network = table.network(8)
    asked = {"local_steps": 20, "hub_period": 1, "batch": 16, "step_size": Schedule(initial=0.05, decay=0.01)}

    def seconds(**options):
        links = (Link(1e-7, 1e12), Link(**slow))
        model = Network(1e-7, 1e12, route=lambda a, b: links[network.level_of(a, b)])
        cluster = VirtualCluster(8, model, flops=1e7)
        return solve(MultilevelSGD(**asked, **options), spread, cluster=cluster, hubs=table, iterations=60)

    waiting, overlapping = seconds(), seconds(overlap=True)
    assert waiting.rows[-1]["seconds"] - overlapping.rows[-1]["seconds"] > 40 * 1e-4
    best = spread.optimum()[1]
    assert overlapping.rows[-1]["objective"] - best < 3 * (waiting.rows[-1]["objective"] - best) + 1e-4


def test_as_many_steps_as_fit_a_deadline():
    """A node of half the speed makes half the steps, and nobody waits beyond the deadline."""
    spread = ridge(nodes=4, n=400)
    cluster = VirtualCluster(4, Network(0.0, 1e15), flops=1e6, speeds=[1.0, 1.0, 0.5, 0.5])
    solver = MultilevelSGD(deadline=0.05, batch=10, step_size=1e-3)
    solved = solve(solver, spread, cluster=cluster, iterations=20)
    steps = [node.slots.steps for node in solved.nodes]
    assert steps[0] == steps[1] == pytest.approx(2 * steps[2], abs=40)
    assert steps[2] >= 20
    assert solved.rows[-1]["seconds"] == pytest.approx(20 * 0.05, rel=0.05)


def test_a_step_longer_than_the_deadline_is_made_every_few_rounds():
    """A step takes 2.3 deadlines: the first round makes one, then every fourth, after three that idle."""
    spread = ridge(nodes=2, n=40)
    steps = solve(MultilevelSGD(deadline=1e-9, batch=1, step_size=1e-3), spread, iterations=1).nodes[0]
    lasted = steps.slots.snapshot()["shortest"]
    solver = MultilevelSGD(deadline=lasted / 2.3, batch=1, step_size=1e-3)
    solved = solve(solver, spread, iterations=10)
    assert [node.slots.steps for node in solved.nodes] == [4, 4]


def test_a_hub_without_rows_counts_no_steps_before_a_deadline():
    hubs = Hubs(hubs=2, placement="dedicated")
    solver = MultilevelSGD(deadline=1e-9, local_steps=50, batch=0, step_size=0.2)
    solved = solve(solver, under_dedicated_hubs(logistic(nodes=6)), hubs=hubs, iterations=1)
    assert solved.rows[-1]["slots"] == 1


@pytest.mark.parametrize(
    ("options", "table", "rates"),
    [
        ({"compressor": TopK(fraction=0.4), "outer_momentum": 0.5, "overlap": True}, {"groups": (2,)}, 0.6),
        ({"compressor": QSGD(levels=4), "gamma": 0.3, "post_local": 2, "weights": (1.0, 2.0, 3.0)}, {}, 0.6),
        ({"outer_step": 0.7, "normalise": "steps", "hub_period": (1, 2)}, {"groups": (2,)}, 0.4),
        ({"deadline": 4e-6, "normalise": "steps", "overlap": True}, {}, None),
        ({"deadline": 1e-9, "overlap": True}, {}, None),
    ],
)
@pytest.mark.parametrize("kind", [MultilevelSGD, Newton])
def test_every_option_resumes_from_any_yield_bit_for_bit(kind, options, table, rates):
    """Three dedicated hubs with a worker each: iterates, records and what nodes keep are those of a whole run."""
    spread = logistic(nodes=3)
    spread = spread.over(*[size for own in spread.sizes for size in (0, own)])
    if kind is Newton:
        options = {key: value for key, value in options.items() if key != "normalise"}
    solver = kind(**{"local_steps": 2, "hub_period": 2, **options})
    setting = {"hubs": Hubs(hubs=3, graph="path", placement="dedicated", **table), "iterations": 6}
    setting["rates"] = None if rates is None else (rates,) * 6
    kept = Kept()
    whole = solve(solver, spread, checkpoints=kept, **setting)
    for count, snapshots in kept.after.items():
        cut = solve(solver, spread, checkpoints=going_on(snapshots), **setting)
        expect_same_rows(f"the trace after yield {count}", cut.rows, whole.rows[count + 1 :])
        for ours, theirs in zip(cut.outcomes, whole.outcomes, strict=True):
            np.testing.assert_array_equal(ours.state.w, theirs.state.w)
        assert [node.weight for node in cut.nodes] == [node.weight for node in whole.nodes]
        assert [node.slots.snapshot() for node in cut.nodes] == [node.slots.snapshot() for node in whole.nodes]


def test_the_first_rounds_of_a_post_local_schedule_average_everything_after_every_step():
    spread, hubs = logistic(nodes=6), Hubs(hubs=2)
    asked = {"batch": 0, "step_size": 0.2}
    ours = solve(MultilevelSGD(post_local=5, local_steps=4, **asked), spread, hubs=hubs, iterations=5)
    np.testing.assert_allclose(ours.w, solve(SGD(**asked), spread, iterations=5).w, rtol=1e-10)
    assert ours.rows[-1]["slots"] == 5


def test_one_hub_of_newton_steps_is_local_newton():
    spread = logistic(nodes=5)
    ours = solve(Newton(local_steps=2, weights="equal", hub_period=1), spread, hubs=Hubs(hubs=1), iterations=5)
    np.testing.assert_array_equal(ours.w, solve(SOLVERS["local-newton"](local_steps=2), spread, iterations=5).w)


def test_the_consensus_step_size_of_the_hubs_acts_on_exact_messages_too():
    weights = np.arange(1.0, 7.0)
    _, x, whole = averaged(Hubs(hubs=6, graph="path"), 6, weights, 1)
    _, _, half = averaged(Hubs(hubs=6, graph="path"), 6, weights, 1, gamma=0.5)
    np.testing.assert_allclose(half, 0.5 * (x + whole), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("compressor", "top-k"), ("normalise", "rates"), ("gamma", 0.5), ("deadline", 1.0)],
)
def test_what_hierarchical_local_sgd_would_ignore_is_refused(name, value):
    with pytest.raises(InputError, match=name):
        build_solver({"name": "hl-sgd", name: value})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"local_steps": 0}, "local_steps"),
        ({"hub_period": (2, 0)}, "hub_period"),
        ({"weights": ()}, "weights"),
        ({"weights": "rovs"}, "weights"),
        ({"weights": (1e-300, 1.0)}, "weights"),
        ({"gamma": 0.0}, "gamma"),
        ({"outer_step": 0.0}, "outer_step"),
        ({"outer_momentum": 1.0}, "outer_momentum"),
        ({"deadline": 1.0, "normalise": "rates"}, "normalise"),
    ],
)
def test_parameters_out_of_range_are_refused(options, told):
    with pytest.raises(InputError, match=told):
        MultilevelSGD(**options)
