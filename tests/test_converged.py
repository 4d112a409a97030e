"""Convergence messages do not depend on the units of the features."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

from hpcopt.cli.main import main
from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.data import from_arrays
from hpcopt.fabric.meter import Meter
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties import PENALTIES
from hpcopt.problems.storage import as_matrix
from hpcopt.results.stopping import Status, StopRule
from hpcopt.runs.checkpoint import Checkpoints
from hpcopt.runs.start import run
from hpcopt.solvers import SOLVERS
from hpcopt.spec.suitable import usual_solver
from tests.launch import hpcopt_ranks, requires_mpi
from tests.test_driver import record

ROWS = 200
UNITS = {
    "as they are": ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0]),
    "seconds since 1970": ([1.0, 10.0, 1e8], [0.0, 30.0, 1.6e9]),
    "large": ([1e9, 1e9, 1e9], [0.0, 0.0, 0.0]),
    "small": ([1e-6, 1e-12, 1e-6], [0.0, 0.0, 0.0]),
    "all there are": ([1e-6, 1e9, 1e2], [0.0, 0.0, 0.0]),
    "far away": ([1.0, 1.0, 1.0], [0.0, 1e6, 0.0]),
    "too far away": ([1.0, 1.0, 1.0], [0.0, 1e9, 0.0]),
}
TESTED = sorted(name for name in SOLVERS if SOLVERS[name].minimises)


def rows(units="seconds since 1970", seed=0):
    """Return features in various units, signs, and the original features: centred, of size 1."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((ROWS, 3))
    y = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-Z @ [1.6, -0.5, 0.2])), 1.0, -1.0)
    scale, shift = UNITS[units]
    return Z * scale + shift, y, Z


def optimum(X, y, *, l2, intercept):
    """Return the minimum, by scipy on centred features, for which all second derivatives are about 1."""
    centre = X.mean(axis=0) if intercept else np.zeros(X.shape[1])
    scale = np.sqrt(np.mean((X - centre) ** 2, axis=0) + l2)
    Z, ridge = (X - centre) / scale, l2 / scale**2
    if intercept:
        Z, ridge = np.hstack([Z, np.ones((len(Z), 1))]), np.append(ridge, 0.0)

    def value(v):
        return np.logaddexp(0.0, -y * (Z @ v)).mean() + ridge @ v**2 / 2

    def gradient(v):
        return -Z.T @ (y / (1 + np.exp(y * (Z @ v)))) / len(y) + ridge * v

    def hessian(v):
        p = 1 / (1 + np.exp(y * (Z @ v)))
        return (Z.T * (p * (1 - p))) @ Z / len(y) + np.diag(ridge)

    start = np.zeros(Z.shape[1])
    return scipy.optimize.minimize(value, start, jac=gradient, hess=hessian, method="trust-exact", tol=1e-10).fun


def fit(tmp_path, X, y, *arguments):
    """Fit and return the model's objective."""
    np.savez(tmp_path / "data.npz", X=X, y=y)
    assert main(["fit", str(tmp_path / "data.npz"), "-o", str(tmp_path / "model.npz"), *arguments]) in {0, 3}
    return json.loads(str(np.load(tmp_path / "model.npz")["meta"]))["objective"]


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs", "giant", "local-newton", "one-shot"])
def test_fit_reaches_the_optimum_in_any_units_or_says_that_it_did_not(tmp_path, capsys, solver, units, intercept):
    X, y, _ = rows(units)
    found = fit(tmp_path, X, y, "--solver", solver, "--virtual", "3", *["--intercept"] * intercept)
    told = capsys.readouterr().err
    lowest = optimum(X, y, l2=1 / ROWS, intercept=intercept)
    assert found == pytest.approx(lowest, rel=1e-6) or told.startswith("hpcopt: warning: not converged")
    if solver in {"newton-cg", "lbfgs"} and not units.startswith("too"):
        assert not told


@pytest.mark.parametrize("solver", [name for name in TESTED if name not in {"prague", "async-local-newton"}])
def test_no_solver_is_said_to_have_converged_short_of_the_optimum(tmp_path, capsys, solver):
    X, y, _ = rows()
    arguments = ["--solver", solver, "--virtual", "3", "--set", "stop.iterations=60", "--set", "stop.rounds=200"]
    found = fit(tmp_path, X, y, *arguments)
    shown = capsys.readouterr()
    short = "not converged" in shown.err or "diverged" in shown.out
    assert short or found == pytest.approx(optimum(X, y, l2=1 / ROWS, intercept=False), rel=1e-6)


@pytest.mark.parametrize("loss", ["logistic", "squared"])
@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs"])
def test_other_units_change_the_iterations_of_fit_by_two_at_most(solver, loss):
    counts = []
    for units in ("as they are", "seconds since 1970", "all there are", "small"):
        X, y, _ = rows(units)
        data = {"X": X, "y": y}
        counts.append(fitted(data, solver, loss).result["iterations"])
    assert max(counts) - min(counts) <= 2


def fitted(data, solver, loss):
    """Run like `hpcopt fit`, but without a penalty, which depends on units."""
    spec = {
        "data": {"source": "arrays"},
        "problem": {"loss": loss, "l2": 0.0, "intercept": True},
        "solver": {"name": solver, **SOLVERS[solver].fit_defaults},
        "cluster": {"kind": "virtual", "workers": 3},
        "stop": {"scaled_gradient": 1e-8},
    }
    return run(spec, rows=from_arrays(data["X"], data["y"]))


@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs"])
def test_the_preconditioner_is_booked_and_a_run_goes_on_with_it(solver):
    chosen, spread, kept = SOLVERS[solver](preconditioner="columns"), logistic(nodes=3), {}

    def keeping(rank):
        return Checkpoints(lambda count: count == 3, lambda snapshot: kept.setdefault(rank, snapshot))

    whole = solve(chosen, spread, iterations=6, checkpoints=keeping)
    doubles = chosen.doubles(whole.outcome.state, spread.d)
    assert whole.outcome.last.bytes == 2 * (3 - 1) * 8 * doubles
    resumed = solve(chosen, spread, iterations=6, checkpoints=lambda rank: Checkpoints(resume=kept[rank]))
    np.testing.assert_array_equal(resumed.w, whole.w)
    assert resumed.outcome.last == whole.outcome.last


def scaled_gradient(X, y, *, full, sparse=False):
    """Return the scaled gradient of logistic regression with an intercept, at zero."""
    rows = np.hstack([X, np.ones((len(X), 1))])
    matrix = as_matrix(scipy.sparse.csr_array(rows) if sparse else rows, None)
    loss, penalty, d = LOSSES["logistic"](), PENALTIES["none"](), X.shape[1]
    f = Objective(matrix, y, loss, penalty, total=len(X), meter=Meter(), penalised=d)
    here = f.at(np.zeros(f.d))
    return f.metric(lambda v: v, correlated=3 * full).relative(here.gradient, here.value)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("units", ["seconds since 1970", "all there are", "small", "far away"])
def test_the_scaled_gradient_is_the_same_in_all_units(units, full):
    X, y, Z = rows(units)
    assert scaled_gradient(X, y, full=full) == pytest.approx(scaled_gradient(Z, y, full=full), rel=1e-3)


@pytest.mark.parametrize("full", [False, True])
def test_the_scaled_gradient_is_the_same_of_sparse_rows(full):
    X, y, _ = rows()
    X[::3, 0] = 0.0
    assert scaled_gradient(X, y, full=full, sparse=True) == pytest.approx(scaled_gradient(X, y, full=full), rel=1e-9)


def test_the_square_of_the_scaled_gradient_is_a_lower_bound_of_the_relative_distance_to_the_optimum():
    X, y, _ = rows()
    lowest = optimum(X, y, l2=0.0, intercept=True)
    assert 0.05 < scaled_gradient(X, y, full=True) ** 2 <= (np.log(2) - lowest) / np.log(2)


def test_of_least_squares_it_is_the_cosine_of_the_angle_between_residuals_and_columns():
    X, y, _ = rows("as they are")
    f = Objective(as_matrix(X, None), y, LOSSES["squared"](), PENALTIES["none"](), total=ROWS, meter=Meter())
    here = f.at(np.ones(3))
    residuals = X @ np.ones(3) - y
    seen = X @ np.linalg.lstsq(X, residuals)[0]
    cosine = np.linalg.norm(seen) / np.linalg.norm(residuals)
    assert f.metric(lambda v: v, correlated=3).relative(here.gradient, here.value) == pytest.approx(cosine)


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_outputs_of_many_classes_have_a_scaled_gradient_in_any_units(model):
    X, _, Z = rows()
    y = np.arange(ROWS) % 3.0
    family = MODELS["mlp"](hidden=(4,)) if model == "mlp" else MODELS["linear"](intercept=True)
    sized = family.sized(LOSSES["softmax"](), 3, 3)
    scale, shift = (np.array(numbers) for numbers in UNITS["seconds since 1970"])
    w = sized.random_start(0)
    other, outputs, at = w.copy(), 4 if model == "mlp" else 3, sized.penalised
    weights = w[: 3 * outputs].reshape(3, outputs) / scale[:, None]  # the same function in the other units
    other[: weights.size] = weights.ravel()
    other[at : at + outputs] -= shift @ weights
    found = []
    for features, model_vector in ((Z, w), (X, other)):
        f = sized.oracle(as_matrix(features, None), y, PENALTIES["none"](), total=ROWS, meter=Meter())
        here = f.at(model_vector)
        found.append(f.metric(lambda v: v, correlated=3).relative(here.gradient, here.value))
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert found[0] > 1e-3


def test_a_line_search_that_gives_up_is_told_from_the_optimum():
    X, y, _ = rows()
    spec = {
        "data": {"source": "arrays"},
        "solver": {"name": "lbfgs", "trials": 2},
        "cluster": {"kind": "virtual", "workers": 2},
        "stop": {"gradient_norm": 1e-300},
    }
    gave_up = run(spec, rows=from_arrays(X, y))
    assert gave_up.status is Status.STALLED
    assert not gave_up.status.reached
    assert gave_up.result["scaled_gradient"] > 1e-6
    assert gave_up.result["iterations"] > 0  # a first step is found, however large the gradient is
    there = {**spec, "solver": {"name": "newton-cg"}, "problem": {"loss": "squared"}, "stop": {"rounds": 9}}
    ended = run(there, rows=from_arrays(X, np.zeros(ROWS)))
    assert ended.status is Status.PRECISION
    assert not ended.status.reached
    assert ended.status.converged


def test_the_end_of_a_solver_is_judged_by_the_scaled_gradient_and_by_what_the_solver_promises():
    rule, first = StopRule(rounds=50), record()
    assert rule.ended(record(scaled_gradient=1e-7), first, 0.0, exact=True) is Status.PRECISION
    assert rule.ended(record(scaled_gradient=1e-3), first, 0.0, exact=True) is Status.STALLED
    assert rule.ended(record(scaled_gradient=1e-3), first, 0.0, exact=False) is Status.FINISHED
    assert rule.ended(record(scaled_gradient=1e-7, round=50), first, 0.0, exact=True) is Status.ROUNDS


def test_a_fit_ends_where_rounding_keeps_it_from_coming_closer():
    rule = StopRule(scaled_gradient=1e-12)
    best = record(iteration=5)
    assert rule.settled(record(iteration=15, scaled_gradient=1e-7), best) is Status.PRECISION
    assert rule.settled(record(iteration=14, scaled_gradient=1e-7), best) is None
    assert rule.settled(record(iteration=15, scaled_gradient=1e-5), best) is None
    assert StopRule(rounds=5).settled(record(iteration=15), best) is None


@pytest.mark.parametrize("size", [1e-300, 1e200, 1e300])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("l1", [0.0, 1e-3])
def test_features_near_the_limits_of_doubles_end_in_a_message(size, loss, l1):
    solver = usual_solver("linear", loss, smooth=not l1)
    spec = {
        "data": {"source": "arrays"},
        "problem": {"loss": loss, "l1": l1},
        "solver": {"name": solver, **SOLVERS[solver].fit_defaults},
        "stop": {"scaled_gradient": 1e-8, "rounds": 5},
    }
    X, y, _ = rows("as they are")
    status = run(spec, rows=from_arrays(size * X[:9], y[:9])).status
    assert status is Status.DIVERGED if size > 1 else status in {Status.GRADIENT, Status.ROUNDS, Status.PRECISION}


def test_an_objective_that_vanishes_has_converged(tmp_path, capsys):
    _, _, Z = rows()
    found = fit(tmp_path, Z, Z @ [1.0, -2.0, 0.5], "--loss", "squared", "--l2", "0")
    assert found < 1e-20
    assert not capsys.readouterr().err


@pytest.mark.parametrize("verb", ["run", "compare", "fit"])
def test_features_of_sizes_far_apart_get_a_hint_at_scaling(tmp_path, capsys, verb):
    X, y, _ = rows()
    np.savez(tmp_path / "data.npz", X=X, y=y)
    (tmp_path / "s.toml").write_text(
        f'[data]\npath = "{tmp_path / "data.npz"}"\n[stop]\nrounds = 3\n'
        + ('[[solvers]]\nname = "giant"\n' * 2 if verb == "compare" else '[solver]\nname = "giant"\n')
    )
    what = "data.npz" if verb == "fit" else "s.toml"
    where = ["-o", str(tmp_path / "m.npz")] if verb == "fit" else ["--out", str(tmp_path / "out"), "--virtual", "2"]
    assert main([verb, str(tmp_path / what), *where]) == 0
    assert 'to 1.6e+09 (column 2), counted from 0; data.scale = "standard"' in capsys.readouterr().out
    scaled = ["--overwrite", "--set", "data.scale=standard"] if verb != "fit" else ["--scale", "standard"]
    assert main([verb, str(tmp_path / what), *where, *scaled]) == 0
    assert "hint" not in capsys.readouterr().out


def test_an_offset_that_dwarfs_the_spread_gets_a_hint_and_a_constant_column_does_not(tmp_path, capsys):
    _, y, Z = rows()
    fit(tmp_path, np.hstack([Z, np.full((ROWS, 1), 5.1)]), y)
    assert "hint" not in capsys.readouterr().out
    fit(tmp_path, Z + np.array([0.0, 2e4, 0.0]), y, "--intercept")
    assert "hint: column 1 (counted from 0) varies by" in capsys.readouterr().out


def test_fit_scales_and_tests_and_the_model_is_of_the_features_as_they_are(tmp_path, capsys):
    X, y, Z = rows()
    np.savez(tmp_path / "test.npz", X=X[:50], y=y[:50])
    fit(tmp_path, X, y, "--intercept", "--scale", "standard", "--test", str(tmp_path / "test.npz"))
    shown = capsys.readouterr()
    assert "test accuracy" in shown.out
    assert not shown.err
    scaled = (Z - Z.mean(axis=0)) / Z.std(axis=0)
    with np.load(tmp_path / "model.npz") as model:
        margins = X @ model["coef"] + model["intercept"]
    fit(tmp_path, scaled, y, "--intercept", "--test-fraction", "0")
    with np.load(tmp_path / "model.npz") as model:
        np.testing.assert_allclose(margins, scaled @ model["coef"] + model["intercept"], rtol=1e-6, atol=1e-6)
    fit(tmp_path, X, y, "--test-fraction", "0.25")
    assert "150 rows" in capsys.readouterr().out


@pytest.mark.mpi
@requires_mpi
def test_ranks_reach_the_optimum_in_any_units(tmp_path):
    X, y, _ = rows()
    np.savez(tmp_path / "data.npz", X=X, y=y)
    done = hpcopt_ranks(3, "fit", tmp_path / "data.npz", "--intercept", "-o", tmp_path / "model.npz")
    assert done.returncode == 0, done.stderr
    assert "not converged" not in done.stderr
    found = json.loads(str(np.load(tmp_path / "model.npz")["meta"]))["objective"]
    assert found == pytest.approx(optimum(X, y, l2=1 / ROWS, intercept=True), rel=1e-10)
