"""QCMD and QRDA AdaGrad: without a quantiser Duchi's closed forms; with one, what the quantiser must preserve."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS
from hpcopt.compression.nonzeros import pack, unpack
from hpcopt.compression.sums import pack_sum, unpack_sum
from hpcopt.conformance.solving import Kept, going_on, solve
from hpcopt.errors import InputError
from hpcopt.kernels import adaptive
from hpcopt.problems.penalties import PENALTIES, Penalty
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.parts.exchange import Messages
from tests.penalised import WEIGHT, Penalised, lasso, penalised, residual

ETA, DELTA = 0.2, 1e-3
EXACT = {"compressor": COMPRESSORS["identity"](), "batch": 0, "step_size": ETA, "delta": DELTA}
TERNARY = COMPRESSORS["ternary"]()
THRESHOLD = COMPRESSORS["threshold-ternary"]()
BOTH = pytest.mark.parametrize("name", ["qcmd-adagrad", "qrda-adagrad"])


def soft(u, threshold):
    return np.sign(u) * max(abs(u) - threshold, 0.0)


# name -> parameters; CMD: x, g, H -> the next x; RDA: mean gradient m, t, H -> the next x; each for one coordinate
FORMS = {
    "none": ({}, lambda x, g, H: x - ETA * g / H, lambda m, t, H: -ETA * t * m / H),
    "l1": (
        {"weight": WEIGHT},
        lambda x, g, H: soft(x - ETA * g / H, ETA * WEIGHT / H),
        lambda m, t, H: -np.sign(m) * ETA * t / H * max(abs(m) - WEIGHT, 0.0),
    ),
    "l2": (
        {"weight": WEIGHT},
        lambda x, g, H: (H * x - ETA * g) / (H + ETA * WEIGHT),
        lambda m, t, H: -ETA * t * m / (H + ETA * WEIGHT * t),
    ),
    "box": (
        {"lower": -0.1, "upper": 0.2},
        lambda x, g, H: min(max(x - ETA * g / H, -0.1), 0.2),
        lambda m, t, H: min(max(-ETA * t * m / H, -0.1), 0.2),
    ),
    "elastic-net": (
        {"l1": WEIGHT, "l2": WEIGHT},
        lambda x, g, H: soft(x - ETA * g / H, ETA * WEIGHT / H) / (1.0 + ETA * WEIGHT / H),
        lambda m, t, H: -np.sign(m) * ETA * t * max(abs(m) - WEIGHT, 0.0) / (H + ETA * WEIGHT * t),
    ),
}


def duchi(spread, mirror, averaging, steps):
    """Yield the iterates of both methods by the closed forms, one coordinate after another."""
    f = spread.serial()
    for closed in (mirror, averaging):
        x, squares, sums, models = np.zeros(f.d), np.zeros(f.d), np.zeros(f.d), []
        for t in range(1, steps + 1):
            g, after = f.at(x).loss_gradient, x.copy()
            for i in range(f.d):
                squares[i] += g[i] ** 2
                sums[i] += g[i]
                H = DELTA + np.sqrt(squares[i])
                after[i] = mirror(x[i], g[i], H) if closed is mirror else averaging(sums[i] / t, t, H)
            x = after
            models.append(x)
        yield models


@pytest.mark.parametrize("penalty", [name for name in FORMS if name in PENALTIES])
def test_without_a_quantiser_they_are_the_closed_forms(penalty):
    parameters, mirror, averaging = FORMS[penalty]
    spread = penalised(PENALTIES[penalty](**parameters), nodes=1)
    for name, models in zip(("adagrad-cmd", "adagrad-rda"), duchi(spread, mirror, averaging, 25), strict=True):
        for steps in (1, 2, 25):
            solved = solve(SOLVERS[name](batch=0, step_size=ETA, delta=DELTA), spread, iterations=steps)
            np.testing.assert_allclose(solved.w, models[steps - 1], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("penalty", ["l1", "l2", "none"])
@pytest.mark.parametrize("name", ["qcmd-adagrad", "qrda-adagrad", "ftrl"])
def test_the_fused_step_is_the_proximal_step(monkeypatch, name, penalty):
    solver = SOLVERS[name](step_size=ETA)
    spread = penalised(PENALTIES[penalty](**FORMS[penalty][0]))
    fused = solve(solver, spread, rounds=30)
    monkeypatch.setattr(Penalty, "shrinkage", None)
    monkeypatch.setattr(PENALTIES["l1"], "shrinkage", None)
    stepped = solve(solver, spread, rounds=30)
    np.testing.assert_allclose(fused.w, stepped.w, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rule", [adaptive.MIRROR, adaptive.AVERAGING, adaptive.LEADER])
@pytest.mark.parametrize("bucket", [0, 700])
def test_decoding_in_the_pass_changes_no_bit(bucket, rule):
    d, penalised, rng = 9001, 8990, np.random.default_rng(rule)
    compressor = COMPRESSORS["threshold-ternary"](coding="dense", bucket=bucket)
    mean = Messages(compressor, [compressor.encode(rng.standard_normal(d)) for _ in range(3)], d)
    x, v, z = rng.standard_normal(d), rng.random(d), rng.standard_normal(d)
    fused, apart = [x.copy(), v.copy(), z.copy()], [x, v, z]
    adaptive.decode_and_step(*mean.packed(), rule, *fused, ETA, DELTA, 3.0, penalised, 0.1, 0.2)
    for part, penalty in ((slice(penalised), (0.1, 0.2)), (slice(penalised, None), (0.0, 0.0))):
        x, v, z = (vector[part] for vector in apart)
        adaptive.step(rule, x, mean.vector()[part], v, z, ETA, DELTA, 3.0, *penalty)
    np.testing.assert_array_equal(fused, apart)


@BOTH
def test_workers_with_equal_gradients_are_one_worker(name):
    alone = lasso(n=30, nodes=1)
    together = Penalised("logistic", np.tile(alone.X, (3, 1)), np.tile(alone.y, 3), 0.0, (30, 30, 30), alone.penalty)
    solver = SOLVERS[name](batch=0)
    one, three = (solve(solver, spread, rounds=30).w for spread in (alone, together))
    np.testing.assert_allclose(three, one, rtol=1e-12)


def test_with_a_fixed_metric_and_no_penalty_mirror_descent_is_gradient_descent():
    spread = penalised(PENALTIES["none"]())
    huge = 1e12  # H = huge + sqrt(v), v negligible
    ours = solve(
        SOLVERS["qcmd-adagrad"](compressor=TERNARY, batch=8, step_size=0.5 * huge, delta=huge), spread, rounds=20
    )
    sgd = solve(SOLVERS["sgd"](compressor=TERNARY, batch=8, step_size=0.5), spread, rounds=20)
    np.testing.assert_allclose(ours.w, sgd.w, rtol=1e-9)


@pytest.mark.parametrize("compressor", [THRESHOLD, TERNARY])
def test_dual_averaging_is_zero_exactly_where_the_mean_gradient_is_at_most_the_weight(compressor):
    for rounds in (1, 7, 40):
        solved = solve(SOLVERS["qrda-adagrad"](compressor=compressor), lasso(weight=0.1, d=40), rounds=rounds)
        state = solved.outcome.state
        np.testing.assert_array_equal(state.w == 0.0, np.abs(state.z / rounds) <= 0.1)


def test_the_first_step_of_dual_averaging():
    state = solve(SOLVERS["qrda-adagrad"](step_size=ETA, delta=DELTA), lasso(), rounds=1).outcome.state
    g = state.z
    np.testing.assert_allclose(
        state.w, -np.sign(g) * ETA * np.maximum(np.abs(g) - WEIGHT, 0.0) / (DELTA + np.abs(g)), rtol=1e-14
    )


@BOTH
def test_the_residual_of_the_lasso_falls(name):
    spread, solver = lasso(n=400), SOLVERS[name](compressor=TERNARY, step_size=0.3)
    w = solve(solver, spread, rounds=300, record_every=0).w
    assert residual(spread, w) < 0.2 * residual(spread, np.zeros(spread.d))


@pytest.mark.parametrize(("name", "near"), [("adagrad-cmd", 1e-10), ("adagrad-rda", 2e-2)])
def test_without_a_quantiser_they_come_to_the_optimum_of_the_lasso(name, near):
    spread = lasso()
    assert residual(spread, solve(SOLVERS[name](batch=0, step_size=0.3), spread, rounds=500, record_every=0).w) < near


@pytest.mark.parametrize("exchange", ["all-gather", "hub"])
@BOTH
def test_what_error_feedback_sent_and_still_holds_is_the_sum_of_the_gradients(name, exchange):
    spread, steps = lasso(), 12
    solver = SOLVERS[name](compressor=THRESHOLD, error_feedback="ef", batch=0, exchange=exchange)
    given = np.zeros(spread.d)
    for rounds in range(steps):
        w = solve(solver, spread, iterations=rounds).w
        given += spread.serial().at(w).loss_gradient
    solved = solve(solver, spread, iterations=steps)
    held = np.mean([outcome.state.exchanged.memory for outcome in solved.outcomes], axis=0)
    if name == "qrda-adagrad":  # z is the sum of what was sent
        np.testing.assert_allclose(solved.outcome.state.z + held, given, rtol=1e-12)
    assert held.any()


@pytest.mark.parametrize("compressor", [THRESHOLD, TERNARY, COMPRESSORS["top-k"](k=4)])
@BOTH
def test_a_hub_that_sends_the_model_back_changes_no_bit(name, compressor):
    runs = [
        solve(SOLVERS[name](compressor=compressor, exchange=exchange), lasso(d=30).over(50, 40, 30), iterations=25)
        for exchange in ("all-gather", "hub")
    ]
    np.testing.assert_array_equal(runs[1].w, runs[0].w)
    for outcome in (*runs[0].outcomes, *runs[1].outcomes):
        np.testing.assert_array_equal(outcome.w, runs[0].w)


def test_zeros_have_no_sign_at_the_hub_either():
    groups = PENALTIES["group-lasso"](weight=0.5, groups=tuple((j,) for j in range(8)))  # its steps leave -0.0
    solved = solve(hub("qcmd-adagrad", "model", THRESHOLD), penalised(groups, d=8), start=-np.ones(8), iterations=15)
    assert not solved.w.all()
    assert {outcome.w.tobytes() for outcome in solved.outcomes} == {solved.w.tobytes()}


def hub(name, downlink, compressor, **parameters):
    return SOLVERS[name](exchange="hub", downlink=downlink, compressor=compressor, **parameters)


@pytest.mark.parametrize("compressor", [THRESHOLD, TERNARY])
def test_the_hubs_sum_is_that_of_the_signs_times_the_largest_scale(compressor):
    spread = lasso(d=30).over(50, 40, 30)
    solved = solve(hub("qrda-adagrad", "sum", compressor, batch=0), spread, iterations=1)
    gradients = [3 * f.share * f.at(np.zeros(30)).loss_gradient for f in spread.objectives()]
    messages = [compressor.encode(g) for g in gradients]
    levels = 3 * solved.outcome.state.z / max(compressor.largest_scale(message, 30) for message in messages)
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-12)
    if compressor == THRESHOLD:
        np.testing.assert_allclose(levels, sum(np.sign(compressor.decode(m, np.empty(30))) for m in messages))
    else:
        assert abs(levels).max() <= 3


@pytest.mark.parametrize("downlink", ["gradient", "sum"])
@BOTH
def test_every_downlink_comes_near_the_optimum(name, downlink):
    spread = lasso(n=400)
    solved = solve(hub(name, downlink, TERNARY, step_size=0.3), spread, iterations=150, record_every=0)
    assert residual(spread, solved.w) < 0.2 * residual(spread, np.zeros(spread.d))


def test_error_feedback_at_the_hub_returns_what_it_was_given():
    spread, steps = lasso(), 12
    solved = solve(hub("qrda-adagrad", "gradient", THRESHOLD, error_feedback="ef", batch=0), spread, iterations=steps)
    given = np.zeros(spread.d)
    for count in range(steps):
        w = solve(hub("qrda-adagrad", "gradient", THRESHOLD, error_feedback="ef", batch=0), spread, iterations=count).w
        given += spread.serial().at(w).loss_gradient
    held = np.mean([outcome.state.exchanged.memory for outcome in solved.outcomes], axis=0)
    returned = solved.outcome.state.exchanged.returned
    np.testing.assert_allclose(solved.outcome.state.z + held + returned, given, rtol=1e-12)


@pytest.mark.parametrize("downlink", ["model", "gradient", "sum"])
@pytest.mark.parametrize("nodes", [1, 2, 5])
def test_over_a_hub_the_ledger_shows_the_declared_bytes(nodes, downlink):
    spread, solver = lasso(d=50, nodes=nodes), hub("qrda-adagrad", downlink, TERNARY)
    solved = solve(solver, spread, iterations=7)
    encoded = sum(sum(solver.messages(outcome.state)) for outcome in solved.outcomes[1:])
    doubles = 16 * (nodes - 1) * solver.doubles(solved.outcome.state, spread.d)
    assert solved.rows[-1]["bytes"] == encoded + doubles
    assert (doubles > 0) == (downlink == "sum" and nodes > 1)


@pytest.mark.parametrize("downlink", ["model", "gradient", "sum"])
def test_over_a_hub_runs_resume_to_the_bit_and_all_nodes_have_one_model(downlink):
    spread, solver = lasso(), hub("qrda-adagrad", downlink, THRESHOLD, error_feedback="ef", batch=5)
    kept = Kept()
    whole = solve(solver, spread, iterations=6, checkpoints=kept)
    resumed = solve(solver, spread, iterations=6, checkpoints=going_on(kept.after[3]))
    for outcome in (*whole.outcomes, *resumed.outcomes):
        np.testing.assert_array_equal(outcome.w, whole.w)


def test_another_quantiser_leaves_the_batches_as_they_are():
    spread = lasso()
    first = [
        solve(SOLVERS["adagrad-rda"](batch=5), spread, iterations=1).outcome.state.z,
        solve(SOLVERS["qrda-adagrad"](batch=5, compressor=COMPRESSORS["f32"]()), spread, iterations=1).outcome.state.z,
    ]
    np.testing.assert_allclose(first[1], first[0], atol=1e-6)


def test_a_start_with_a_tiny_delta_keeps_coordinates_without_a_gradient_yet():
    spread, start = lasso(), np.full(6, 0.5)
    top = COMPRESSORS["top-k"](k=1)  # the first message has one coordinate only
    solver = SOLVERS["qcmd-adagrad"](compressor=top, batch=0, step_size=0.01)
    assert np.abs(solve(solver, spread, start=start, rounds=1).w - start).max() < 0.05


@BOTH
def test_regret_grows_as_the_square_root_of_the_number_of_steps(name):
    """Over nine times the steps, on a stream of single rows, regret grows by about three; linear regret by nine."""
    spread = lasso(n=800, nodes=1, weight=0.01)
    best = solve(SOLVERS["adagrad-cmd"](batch=0, step_size=1.0), spread, rounds=100, record_every=0)
    solver = SOLVERS[name](compressor=TERNARY, batch=1, step_size=0.3)
    rows = solve(solver, spread, rounds=900).rows
    regrets = np.cumsum([row["objective"] - best.rows[-1]["objective"] for row in rows])
    assert 0.0 < regrets[899] < 5.0 * regrets[99]


@pytest.mark.parametrize("nodes", [1, 3, 40, 2000])
def test_a_sum_of_small_integers_is_sent_exactly(nodes):
    unit = float(np.float32(0.3))
    levels = np.random.default_rng(nodes).integers(-nodes, nodes + 1, 1003)
    message = pack_sum(unit * levels, unit, nodes)
    np.testing.assert_array_equal(unpack_sum(message, 1003, nodes), unit * levels)
    digits = int(64 / np.log2(2 * nodes + 1))  # in a word of 64 bits
    assert 4 + 8 * (1003 // digits) <= len(message) <= 4 + 8 * -(-1003 // digits)


@pytest.mark.parametrize("nonzeros", [0, 1, 7, 500, 1000])
@pytest.mark.parametrize("d", [1, 2, 1000])
def test_a_model_is_sent_exactly_and_by_its_shortest_form(d, nonzeros):
    rng = np.random.default_rng(nonzeros)
    x = np.zeros(d)
    x[rng.permutation(d)[:nonzeros]] = rng.standard_normal(min(d, nonzeros))
    message, k = pack(x), np.count_nonzero(x)
    np.testing.assert_array_equal(unpack(message, d), x)
    listed = -(-max(k, 2) * (d - 1).bit_length() // 8)  # an index alone comes twice
    assert len(message) == 1 + (min(8 * d, 8 * k + -(-d // 8), 8 * k + listed) if k else 0)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"downlink": "sum"}, 'downlink: "sum" requires exchange = "hub"; exchange is "all-gather"'),
        (
            {"exchange": "hub", "downlink": "sum", "compressor": COMPRESSORS["qsgd"]()},
            'downlink: "sum" requires a compressor of three values, .*; got qsgd',
        ),
    ],
)
def test_a_downlink_that_cannot_be_is_refused(parameters, told):
    with pytest.raises(InputError, match=told):
        SOLVERS["qcmd-adagrad"](**parameters)


@pytest.mark.parametrize("key", ["step_size", "delta"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_step_size_or_delta_that_is_not_positive_is_refused(key, value):
    with pytest.raises(InputError, match=f"{key}: expected a number above 0, got"):
        SOLVERS["qcmd-adagrad"](**{key: value})


def test_the_full_precision_forms_refuse_a_compressor():
    with pytest.raises(InputError, match="adagrad-rda sends gradients uncompressed, got ternary; use qrda-adagrad"):
        SOLVERS["adagrad-rda"](compressor=TERNARY)
