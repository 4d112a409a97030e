"""Decentralised solvers: the claims of their papers, for various topologies and compressors."""

from __future__ import annotations

import copy
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.problems import Spread, equal, logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.results.stopping import Disagreement, Status
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.parts.consensus_step import theory
from hpcopt.topology import TOPOLOGIES, Mixing, build
from tests.records import record

NODES = 9
COMPRESSED = {
    "none": COMPRESSORS["identity"](),
    "f16": COMPRESSORS["f16"](),
    "16 levels": COMPRESSORS["qsgd"](levels=16),
    "2 levels": COMPRESSORS["qsgd"](levels=2),
    "top": COMPRESSORS["top-k"](fraction=0.3),
    "random": COMPRESSORS["random-k"](fraction=0.3),
    "ternary": COMPRESSORS["threshold-ternary"](coding="dense"),
    "sign": COMPRESSORS["sign"](),
    "natural": COMPRESSORS["natural"](),
    "low rank": COMPRESSORS["low-rank"](),
}
EVERY_COMPRESSOR = pytest.mark.parametrize("compressor", COMPRESSED.values(), ids=COMPRESSED)
FIXED = [name for name in TOPOLOGIES if name not in {"file", "one-peer-exponential"}]


def nodes_of(topology):
    """The number of nodes to try a topology with: one that its shape allows, near nine."""
    return {"hypercube": 8, "random-regular": 8}.get(topology, NODES)


def heterogeneous(nodes=NODES, d=12, rows=8, apart=1.0, seed=0):
    """Least squares with different minimisers on the nodes; if `apart` is 0, all fit w exactly."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((nodes * rows, d)) / np.sqrt(d)
    w = rng.standard_normal(d)
    own = np.repeat(w + apart * rng.standard_normal((nodes, d)), rows, axis=0)
    return Spread("squared", X, np.sum(X * own, axis=1), 0.0, equal(nodes * rows, nodes))


def models(solved):
    """Every node's model, (nodes, d)."""
    return np.array([outcome.state.w for outcome in solved.outcomes])


def states(solved, field):
    return np.array([getattr(outcome.state, field) for outcome in solved.outcomes])


def matrix(topology, nodes):
    return build(TOPOLOGIES[topology](), nodes).matrices[0].toarray()


def deli_coco(**parameters):
    return SOLVERS["deli-coco"](**{"step_size": 0.2, "gamma": 0.3, **parameters})


@pytest.mark.parametrize(
    ("topology", "compressor"),
    [
        pytest.param(topology, compressor, id=f"{topology}-{name}")
        for row, topology in enumerate(FIXED)
        for column, (name, compressor) in enumerate(COMPRESSED.items())
        if (row - column) % 3 == 0  # each meets a third of the others
    ],
)
def test_the_mean_is_kept_and_s_is_z_w_on_every_network_with_every_compressor(topology, compressor):
    nodes = nodes_of(topology)
    gossip = SOLVERS["choco-gossip"](compressor=compressor, gamma=0.2)
    spread, network = heterogeneous(nodes), TOPOLOGIES[topology]()
    start = models(solve(gossip, spread, rounds=0, topology=network))
    solved = solve(gossip, spread, rounds=25, topology=network)
    scale = np.abs(start).max()
    np.testing.assert_allclose(models(solved).mean(axis=0), start.mean(axis=0), atol=1e-12 * scale)
    z, s = states(solved, "z"), states(solved, "s")
    np.testing.assert_allclose(s, build(network, nodes).matrices[0].toarray() @ z, atol=1e-12 * np.abs(z).max())


@EVERY_COMPRESSOR
def test_the_mean_moves_by_the_mean_gradient_and_nothing_else(compressor):
    spread = heterogeneous()
    solver = deli_coco(compressor=compressor, gossip_steps=2)
    seen = []
    for rounds in range(0, 12, 2):
        solved = solve(solver, spread, rounds=rounds)
        seen.append(models(solved))
    for before, after in pairwise(seen):
        gradients = [f.at(x).gradient for f, x in zip(spread.objectives(), before, strict=True)]
        expected = before.mean(axis=0) - 0.2 * np.mean(gradients, axis=0)
        np.testing.assert_allclose(after.mean(axis=0), expected, atol=1e-12 * max(1.0, np.abs(before).max()))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    nodes=st.integers(2, 10),
    steps=st.integers(1, 4),
    gamma=st.floats(0.05, 1.0),
    topology=st.sampled_from(["ring", "path", "star", "complete", "exponential"]),
)
def test_without_compression_it_is_dgd_with_the_power_of_w(nodes, steps, gamma, topology):
    spread = heterogeneous(nodes)
    solved = solve(
        deli_coco(gossip_steps=steps, gamma=gamma), spread, rounds=5 * steps, topology=TOPOLOGIES[topology]()
    )
    W = (1 - gamma) * np.eye(nodes) + gamma * matrix(topology, nodes)
    x, objectives = np.zeros((nodes, spread.d)), spread.objectives()
    for _ in range(5):
        x = x - 0.2 * np.array([f.at(own).gradient for f, own in zip(objectives, x, strict=True)])
        before = np.linalg.matrix_power(W, steps - 1) @ x
        x = np.linalg.matrix_power(W, steps) @ x
    np.testing.assert_allclose(models(solved), x, atol=1e-12)
    np.testing.assert_allclose(states(solved, "z"), before, atol=1e-12)  # Z is X^(Q-1), not X^(Q)


@EVERY_COMPRESSOR
def test_one_gossip_step_is_choco_sgd_bit_for_bit(compressor):
    """The listing of CHOCO-SGD, implemented independently with a copy of every neighbour."""
    spread = heterogeneous()
    ours = solve(deli_coco(compressor=compressor, gossip_steps=1), spread, rounds=6)
    preset = solve(SOLVERS["choco-sgd"](step_size=0.2, gamma=0.3, compressor=compressor), spread, rounds=6)
    np.testing.assert_array_equal(models(ours), models(preset))
    W, objectives = matrix("ring", NODES), spread.objectives()
    x, hat = np.zeros((NODES, spread.d)), np.zeros((NODES, spread.d))
    keys = VirtualCluster(NODES).run(lambda node: [node.key(0, t) for t in range(6)])
    for t in range(6):
        x = x - 0.2 * np.array([f.at(own).gradient for f, own in zip(objectives, x, strict=True)])
        for i in range(NODES):
            hat[i] += compressor.decode(compressor.encode(x[i] - hat[i], keys[i][t]), np.empty(spread.d))
        x = x + 0.3 * (W @ hat - hat)
    np.testing.assert_allclose(models(ours), x, atol=1e-12)


def test_on_a_complete_graph_without_compression_it_is_gradient_descent():
    spread = heterogeneous()
    descent = solve(SOLVERS["sgd"](step_size=0.2), spread, rounds=10)
    for steps in (1, 3):
        network = TOPOLOGIES["complete"]()
        ours = solve(deli_coco(gamma=1.0, gossip_steps=steps), spread, rounds=10 * steps, topology=network)
        np.testing.assert_allclose(models(ours), np.tile(descent.w, (NODES, 1)), atol=1e-12)


def test_a_node_alone_does_gradient_descent():
    spread = heterogeneous(1)
    descent = solve(SOLVERS["sgd"](step_size=0.2), spread, rounds=10)
    np.testing.assert_allclose(solve(deli_coco(gamma=1.0), spread, rounds=10).w, descent.w, rtol=1e-12)


def test_with_the_identity_as_weights_every_node_descends_alone():
    from scipy.sparse import csr_array

    spread = heterogeneous(3)
    alone = Mixing("nobody", "metropolis", (csr_array(np.eye(3)),))
    shards, w0 = spread.shards(), np.zeros(spread.d)

    def program(node):
        f = spread.problem.on(shards[node.rank], node.meter)
        solver = deli_coco()
        rounds = solver.rounds(node, f, solver.init(node, f, w0))
        return [next(rounds).w.copy() for _ in range(4)][-1]

    for own, x in zip(spread.objectives(), VirtualCluster(3).run(program, Conditions(mixing=alone)), strict=True):
        w = np.zeros(spread.d)
        for _ in range(4):
            w -= 0.2 * own.at(w).gradient
        np.testing.assert_allclose(x, w, atol=1e-12)


@EVERY_COMPRESSOR
def test_gossip_alone_brings_the_nodes_together_at_a_linear_rate(compressor):
    solver = SOLVERS["choco-gossip"](compressor=compressor, gamma="auto")
    solved = solve(solver, heterogeneous(), rounds=1500, record_every=5)
    consensus = [row["consensus"] for row in solved.rows]
    assert consensus[0] > 0.5
    assert consensus[-1] < 1e-6 * consensus[0]
    later = next(i for i, value in enumerate(consensus) if value < 1e-3 * consensus[0])
    assert consensus[min(2 * later, len(consensus) - 1)] < 1e-2 * consensus[later]


@EVERY_COMPRESSOR
def test_where_all_nodes_share_a_minimiser_it_converges_to_it(compressor):
    spread = heterogeneous(rows=40, apart=0.0)
    steps = 6000 if compressor.contraction(spread.d) < 0.15 else 1500
    solved = solve(deli_coco(compressor=compressor, step_size="auto", gamma="auto"), spread, rounds=steps, target=1e-13)
    assert solved.rows[-1]["mean_objective"] < 1e-10 * solved.rows[0]["objective"]


@pytest.mark.parametrize("compressor", [COMPRESSED["none"], COMPRESSED["16 levels"]])
def test_the_floor_falls_with_more_gossip_steps(compressor):
    spread = heterogeneous(rows=30)
    floors = []
    for steps in (1, 2, 4):
        solver = deli_coco(compressor=compressor, step_size=1.0, gamma=1.0, gossip_steps=steps)
        network = TOPOLOGIES["torus"]()
        solved = solve(solver, spread, rounds=300 * steps, topology=network, record_every=0)
        floors.append(solved.rows[-1]["mean_objective"] - spread.optimum_of_least_squares())
    assert floors[0] > 3 * floors[1] > 30 * floors[2] > 0


def test_the_floor_is_proportional_to_the_square_of_the_step_size():
    spread = heterogeneous()
    floors = []
    for step in (0.4, 0.2, 0.1):
        solved = solve(deli_coco(step_size=step, gamma=1.0), spread, rounds=int(400 / step), record_every=0)
        floors.append(solved.rows[-1]["objective"] - spread.optimum_of_least_squares())
    for large, small in pairwise(floors):
        assert 2.5 < large / small < 5.5


def test_uncompressed_gossip_contracts_by_the_second_eigenvalue():
    solved = solve(SOLVERS["choco-gossip"](gamma=1.0, warm=True), heterogeneous(16), rounds=60)
    consensus = [row["consensus"] for row in solved.rows]
    second = build(TOPOLOGIES["ring"](), 16).second_eigenvalue
    assert all(after <= second * before * (1 + 1e-9) for before, after in pairwise(consensus[2:]))
    assert consensus[-1] / consensus[-2] == pytest.approx(second, rel=1e-3)


def test_other_names_for_the_nodes_with_the_same_weights_give_the_same_models():
    spread, order = heterogeneous(), np.random.default_rng(0).permutation(NODES)
    rows = spread.X.reshape(NODES, -1, spread.d), spread.y.reshape(NODES, -1)
    moved = Spread("squared", rows[0][order].reshape(-1, spread.d), rows[1][order].ravel(), 0.0, spread.sizes)
    ring = build(TOPOLOGIES["ring"](), NODES)
    renamed = Mixing("ring", "metropolis", (ring.matrices[0][order][:, order],))
    solver = deli_coco(compressor=COMPRESSED["top"], gossip_steps=2)
    here, there = solve(solver, spread, rounds=12, topology=ring), solve(solver, moved, rounds=12, topology=renamed)
    np.testing.assert_allclose(models(there), models(here)[order], atol=1e-12)


EXACT = [
    ("extra", {}),
    ("gradient-tracking", {}),
    ("gradient-tracking", {"order": "adapt-then-combine"}),
    ("compressed-gradient-tracking", {"compressor": COMPRESSED["16 levels"]}),
    ("compressed-gradient-tracking", {"compressor": COMPRESSED["16 levels"], "gossip_steps": 3}),
    ("compressed-gradient-tracking", {"compressor": COMPRESSED["top"]}),
    ("compressed-gradient-tracking", {"compressor": COMPRESSED["ternary"], "gossip_steps": 2}),
    ("compressed-gradient-tracking", {"compressor": COMPRESSED["16 levels"], "form": "c-gt", "alpha": 0.5}),
]


@pytest.mark.parametrize(("name", "parameters"), EXACT)
def test_tracking_has_no_floor_however_the_nodes_differ(name, parameters):
    spread = ridge(n=90, d=6, nodes=NODES, l2=0.2)
    order = np.argsort(spread.y)  # every node has different targets
    spread = Spread("squared", spread.X[order], spread.y[order], spread.l2, spread.sizes)
    _, best = spread.optimum()
    solved = solve(SOLVERS[name](**parameters), spread, rounds=30_000, record_every=100, gradient_norm=1e-7)
    first = solved.rows[0]["objective"] - best
    assert solved.outcome.status is Status.GRADIENT
    assert solved.rows[-1]["worst_objective"] - best < 1e-10 * first


@pytest.mark.parametrize("parameters", [p for name, p in EXACT if name == "compressed-gradient-tracking"])
def test_the_mean_of_the_tracked_vectors_is_the_mean_gradient(parameters):
    spread = heterogeneous()
    solved = solve(SOLVERS["compressed-gradient-tracking"](**parameters), spread, rounds=60)
    gradients = [f.at(x).gradient for f, x in zip(spread.objectives(), models(solved), strict=True)]
    np.testing.assert_allclose(states(solved, "v").mean(axis=0), np.mean(gradients, axis=0), atol=1e-12)


def test_beer_without_compression_is_its_listing():
    spread, gamma, eta = heterogeneous(), 0.6, 0.1
    solver = SOLVERS["compressed-gradient-tracking"](gamma=gamma, step_size=eta)
    solved = solve(solver, spread, rounds=12)
    W, objectives = matrix("ring", NODES), spread.objectives()

    def gradient(x):
        return np.array([f.at(own).gradient for f, own in zip(objectives, x, strict=True)])

    X = np.zeros((NODES, spread.d))
    H, G, V = np.zeros_like(X), np.zeros_like(X), gradient(X)
    for _ in range(6):
        before, X = X, X + gamma * (W @ H - H) - eta * V
        H = X.copy()
        V = V + gamma * (W @ G - G) + gradient(X) - gradient(before)
        G = V.copy()
    np.testing.assert_allclose(models(solved), X, atol=1e-12)


def test_dgd_settles_where_the_penalised_objective_is_least():
    """Combine-then-adapt minimises f(X) + ||X||^2_{I-W} / (2 eta): its gradient vanishes at the end."""
    spread, eta = heterogeneous(), 0.3
    x = models(solve(SOLVERS["dgd"](step_size=eta), spread, rounds=5000, record_every=0))
    gradients = np.array([f.at(own).gradient for f, own in zip(spread.objectives(), x, strict=True)])
    np.testing.assert_allclose(eta * gradients + (np.eye(NODES) - matrix("ring", NODES)) @ x, 0.0, atol=1e-12)


def test_extra_is_its_listing():
    spread, alpha = heterogeneous(), 0.2
    solved = solve(SOLVERS["extra"](step_size=alpha), spread, rounds=5)
    W, objectives = matrix("ring", NODES), spread.objectives()

    def gradient(x):
        return np.array([f.at(own).gradient for f, own in zip(objectives, x, strict=True)])

    x0 = np.zeros((NODES, spread.d))
    x1 = W @ x0 - alpha * gradient(x0)
    identity = np.eye(NODES)
    for _ in range(4):
        x0, x1 = x1, (identity + W) @ x1 - (identity + W) / 2 @ x0 - alpha * (gradient(x1) - gradient(x0))
    np.testing.assert_allclose(models(solved), x1, atol=1e-12)


def test_averaging_in_turns_is_exact_on_a_power_of_two_of_nodes():
    """One-peer exponential graphs: after log2 n steps every node has the mean."""
    spread = heterogeneous(8)
    network = TOPOLOGIES["one-peer-exponential"]()
    solver = SOLVERS["dgd"](step_size=0.2, gossip_steps=3, order="adapt-then-combine")
    solved = solve(solver, spread, rounds=30, topology=network)
    assert solved.rows[-1]["consensus"] < 1e-12
    np.testing.assert_allclose(solved.w, solve(SOLVERS["sgd"](step_size=0.2), spread, rounds=10).w, atol=1e-12)


@EVERY_COMPRESSOR
def test_deepsqueeze_keeps_the_mean_of_a_step(compressor):
    spread = heterogeneous()
    solver = SOLVERS["deepsqueeze"](step_size=0.1, gamma=0.1, compressor=compressor)
    before, after = (models(solve(solver, spread, rounds=rounds)) for rounds in (4, 5))
    gradients = [f.at(x).gradient for f, x in zip(spread.objectives(), before, strict=True)]
    np.testing.assert_allclose(after.mean(axis=0), before.mean(axis=0) - 0.1 * np.mean(gradients, axis=0), atol=1e-12)


def test_the_replicas_of_dcd_are_the_models():
    spread = heterogeneous()
    solver = SOLVERS["dcd-psgd"](step_size=0.1, compressor=COMPRESSORS["natural"]())
    solved = solve(solver, spread, rounds=20)
    np.testing.assert_allclose(states(solved, "surroundings"), matrix("ring", NODES) @ models(solved), atol=1e-12)


def test_a_warm_start_sends_the_start_once_and_needs_no_time_to_catch_up():
    gossip = partial(SOLVERS["choco-gossip"], compressor=COMPRESSED["top"], gamma=0.2)
    spread = heterogeneous()
    cold, warm = solve(gossip(), spread, rounds=4), solve(gossip(warm=True), spread, rounds=5)
    assert warm.rows[-1]["edge_bytes"] == cold.rows[-1]["edge_bytes"] + 8 * spread.d
    assert warm.rows[-1]["consensus"] < cold.rows[-1]["consensus"]


def test_unequal_shards_weigh_by_their_rows():
    spread = logistic(n=120).over(60, 30, 20, 10)
    _, best = spread.optimum()
    solved = solve(SOLVERS["extra"](), spread, rounds=5000, record_every=20, gradient_norm=1e-9)
    assert solved.rows[-1]["objective"] == pytest.approx(best, rel=1e-12)


def test_compressing_the_models_themselves_leaves_noise_that_differences_do_not():
    """The negative control: D-PSGD with quantised models, against the same quantiser on differences."""
    spread = heterogeneous(rows=40, apart=0.0)
    quantised = COMPRESSORS["qsgd"](levels=4)
    direct = solve(SOLVERS["dgd"](compressor=quantised), spread, rounds=600, record_every=0)
    differences = solve(SOLVERS["choco-sgd"](compressor=quantised), spread, rounds=600, record_every=0)
    assert differences.rows[-1]["mean_objective"] < 1e-6 * direct.rows[-1]["mean_objective"]


def test_the_theorys_gamma_is_that_of_choco_gossip_and_contracts():
    mixing = build(TOPOLOGIES["ring"](), NODES)
    rho, beta, delta = mixing.gap, mixing.beta, 0.3
    expected = rho**2 * delta / (16 * rho + rho**2 + 4 * beta**2 + 2 * rho * beta**2 - 8 * rho * delta)
    assert theory(mixing, delta) == pytest.approx(expected)
    assert 0 < expected < 0.01
    solved = solve(SOLVERS["choco-gossip"](compressor=COMPRESSED["top"], gamma="theory"), heterogeneous(), rounds=300)
    assert solved.outcome.state.gamma == pytest.approx(theory(mixing, 4 / 12))
    assert solved.rows[-1]["consensus"] < solved.rows[0]["consensus"]


def test_gamma_is_found_by_trying_and_its_messages_are_booked():
    solver = SOLVERS["choco-gossip"](compressor=COMPRESSORS["top-k"](k=3), gamma="auto")
    solved = solve(solver, heterogeneous(d=60), rounds=60)
    assert 0.02 < solved.outcome.state.gamma < 0.4
    assert solved.outcome.state.probed >= 20
    exchanged = solver.exchanged(solved.outcome.state, 60)
    assert solved.rows[-1]["edge_bytes"] == exchanged


@pytest.mark.parametrize("topology", ["torus", "complete", "star"])
@pytest.mark.parametrize("compressor", [COMPRESSORS["top-k"](fraction=0.02), COMPRESSORS["random-k"](fraction=0.04)])
def test_the_gamma_that_is_found_holds_for_thousands_of_steps(topology, compressor):
    solver = SOLVERS["choco-gossip"](compressor=compressor)
    spread = heterogeneous(d=50, rows=2)
    solved = solve(solver, spread, iterations=2500, record_every=250, topology=TOPOLOGIES[topology]())
    consensus = [row["consensus"] for row in solved.rows]
    assert solved.outcome.status is Status.ITERATIONS
    assert consensus[-1] < 0.05 * consensus[0]


def listing(name, spread, steps, W, eta, gamma=1.0, alpha=1.0, compressor=COMPRESSED["none"]):
    """Models (nodes, d) after `steps` of the listings in the papers, with plain matrices; deterministic compressors."""
    objectives = spread.objectives()

    def gradient(x):
        return np.array([f.at(own).gradient for f, own in zip(objectives, x, strict=True)])

    def sent(v):
        return np.array([compressor.decode(compressor.encode(row), np.empty(spread.d)) for row in v])

    x = np.zeros((W.shape[0], spread.d))
    y, e = gradient(x), np.zeros_like(x)
    copies = [np.zeros_like(x), np.zeros_like(x)]
    for _ in range(steps):
        if name == "digging":
            x, before = W @ x - eta * y, x
            y = W @ y + gradient(x) - gradient(before)
        elif name == "dcd":
            x = x + sent(W @ x - eta * gradient(x) - x)
        elif name == "deepsqueeze":
            u = x - eta * gradient(x)
            message = sent(u + e)
            e = u + e - message
            x = u + gamma * (W @ message - message)
        elif name == "c-gt":
            after = []
            for place, (vector, change) in enumerate(((x, -eta * y), (y, None))):
                message = sent(vector - copies[place])
                hat = copies[place] + message
                copies[place] = copies[place] + alpha * message
                moved = gradient(after[0]) - gradient(x) if change is None else change
                after.append(vector - gamma * (hat - W @ hat) + moved)
            x, y = after
    return x


@pytest.mark.parametrize("topology", ["ring", "star", "directed"])
def test_gradient_tracking_is_its_listing(topology):
    network = TOPOLOGIES["exponential"](directed=True) if topology == "directed" else TOPOLOGIES[topology]()
    spread, W = heterogeneous(), build(network, NODES).matrices[0].toarray()
    solved = solve(SOLVERS["gradient-tracking"](step_size=0.1), spread, iterations=8, topology=network)
    np.testing.assert_allclose(models(solved), listing("digging", spread, 8, W, 0.1), atol=1e-12)


def test_the_compressed_comparators_are_their_listings():
    spread, W = heterogeneous(), matrix("ring", NODES)
    natural, top = COMPRESSED["f16"], COMPRESSED["top"]
    runs = {
        "dcd": (SOLVERS["dcd-psgd"](step_size=0.1, compressor=natural), {"compressor": natural}),
        "deepsqueeze": (
            SOLVERS["deepsqueeze"](step_size=0.1, gamma=0.2, compressor=top),
            {"gamma": 0.2, "compressor": top},
        ),
        "c-gt": (
            SOLVERS["compressed-gradient-tracking"](step_size=0.1, gamma=0.2, compressor=top, form="c-gt", alpha=0.4),
            {"gamma": 0.2, "alpha": 0.4, "compressor": top},
        ),
    }
    for name, (solver, parameters) in runs.items():
        solved = solve(solver, spread, iterations=7)
        expected = listing(name, spread, 7, W, 0.1, **parameters)
        np.testing.assert_allclose(models(solved), expected, atol=1e-12, err_msg=name)


def test_the_trace_tells_how_far_the_nodes_are_apart():
    spread = heterogeneous().over(*([8] * 9))
    solved = solve(deli_coco(), spread, rounds=5)
    x, row, serial = models(solved), solved.rows[-1], spread.serial()
    values = [serial.at(own).value for own in x]
    assert row["consensus"] == pytest.approx(np.sqrt(np.mean(np.sum((x - x.mean(axis=0)) ** 2, axis=1))))
    assert row["mean_objective"] == pytest.approx(np.mean(values))
    assert row["worst_objective"] == pytest.approx(max(values))
    assert row["objective"] == pytest.approx(serial.at(x.mean(axis=0)).value)


def test_a_run_goes_on_from_its_state_as_if_it_had_not_been_interrupted():
    spread = heterogeneous()
    shards = spread.shards()
    for solver in (
        deli_coco(compressor=COMPRESSED["16 levels"], gossip_steps=2),
        SOLVERS["compressed-gradient-tracking"](compressor=COMPRESSED["top"], gamma=0.2),
        SOLVERS["extra"](),
    ):

        def program(node, solver=solver, cut=3):
            f = spread.problem.on(shards[node.rank], node.meter)
            states = solver.rounds(node, f, solver.init(node, f, np.zeros(spread.d)))
            kept = [copy.deepcopy(next(states)) for _ in range(6)]
            again = solver.rounds(node, f, kept[cut - 1])
            return kept[-1].w, [next(again).w.copy() for _ in range(6 - cut)][-1]

        ring = Conditions(mixing=build(TOPOLOGIES["ring"](), NODES))
        for whole, resumed in VirtualCluster(NODES).run(program, ring):
            np.testing.assert_array_equal(whole, resumed)


@pytest.mark.parametrize("nodes", [5, 8, 16])
def test_the_default_step_of_dgd_is_stable_on_directed_graphs(nodes):
    spread = Spread(
        "squared", np.tile(np.eye(4) * 2.0, (nodes, 1)), np.arange(4.0 * nodes), 0.0, equal(4 * nodes, nodes)
    )
    network = TOPOLOGIES["exponential"](directed=True)
    for steps in (1, 3):
        solved = solve(SOLVERS["dgd"](gossip_steps=steps), spread, iterations=300, record_every=50, topology=network)
        assert solved.outcome.status is Status.ITERATIONS


def test_a_run_whose_nodes_drift_apart_is_stopped_with_advice():
    solver = SOLVERS["choco-gossip"](compressor=COMPRESSORS["top-k"](k=2), gamma=1.0)
    solved = solve(solver, heterogeneous(d=60), rounds=5000)
    assert solved.outcome.status is Status.APART
    assert solved.rows[-1]["round"] < 500
    assert "lower gamma" in solved.outcome.status.value
    assert (
        solved.outcome.record.objective < solved.rows[-1]["objective"]
        or solved.outcome.record is not solved.outcome.last
    )


def test_honest_disagreement_is_left_alone():
    spread = logistic(n=180, nodes=NODES, l2=1e-4)
    order = np.argsort(spread.y, kind="stable")
    spread = Spread("logistic", spread.X[order], spread.y[order], spread.l2, spread.sizes)
    solved = solve(SOLVERS["dgd"](step_size=2.0), spread, rounds=400)
    assert solved.rows[-1]["consensus"] > 0.5
    assert solved.outcome.status is Status.ROUNDS


def told(watch, consensus, gradients, way=0.0):
    return watch.verdict(record(consensus=consensus, gradients=gradients), np.array([way]))


def test_measurements_before_all_nodes_have_moved_say_nothing():
    watch = Disagreement(16, np.zeros(1))
    early = [told(watch, 1e-3 * 2.0**count, count) for count in range(16)]
    steady = [told(watch, 40.0 + count / 100, 16 * count) for count in range(1, 40)]
    late = [told(watch, 40.0 * 1.3**count, 640 + 16 * count) for count in range(20)]
    assert {*early, *steady} == {None}
    assert Status.APART in late


def test_a_node_that_stands_still_is_left_behind_and_not_adrift():
    watch = Disagreement(4, np.zeros(1))
    steady = [told(watch, 0.01, 4 * count, way=0.1) for count in range(1, 12)]
    behind = [told(watch, 0.05 * count, 48 + 3 * count, way=0.11 * count) for count in range(1, 20)]
    assert {*steady, *behind} == {None}


def test_a_diverging_run_ends_as_one_even_where_compressors_refuse_its_vectors():
    solver = deli_coco(step_size=1e200, compressor=COMPRESSED["16 levels"])
    solved = solve(solver, heterogeneous(), rounds=50, record_every=10)
    assert solved.outcome.status is Status.DIVERGED


def test_messages_whose_size_varies_cost_two_rounds_and_are_booked_as_they_are():
    varying = COMPRESSORS["threshold-ternary"](coding="auto")
    solver = deli_coco(compressor=varying, gossip_steps=2)
    spread = heterogeneous(d=400, rows=4)
    solved = solve(solver, spread, rounds=8)
    assert solved.rows[-1]["iteration"] == 2
    sizes = np.array([list(outcome.edges.values()) for outcome in solved.outcomes])
    assert (sizes[:, 0] == sizes[:, 1]).all()  # the same message to both neighbours
    assert (sizes > 4 * 8).all()
    assert (sizes <= 4 * (8 + varying.capacity(400))).all()
    assert solved.rows[-1]["bytes"] == sizes.sum()
