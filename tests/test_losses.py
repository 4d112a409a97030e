"""Special properties of single losses: predictions and starts of relu, optima of the hinges and of huber."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import huber
from sklearn.datasets import load_diabetes
from sklearn.metrics import hinge_loss

import hpcopt
from hpcopt.cli.main import main
from hpcopt.data import from_arrays
from hpcopt.fabric.meter import Meter
from hpcopt.models.model import Model
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models.linear import Linear
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.penalties.none import NoPenalty
from hpcopt.problems.storage import as_matrix
from hpcopt.results.stopping import Status

X = np.array([[1.0, 0.0], [-2.0, 1.0], [0.5, -3.0]])


@pytest.mark.parametrize(
    ("loss", "predicted"),
    [("squared", [1.0, -1.0, -2.5]), ("huber", [1.0, -1.0, -2.5]), ("relu", [1.0, 0.0, 0.0])],
)
def test_a_model_of_real_targets_predicts_what_its_loss_compares_with_them(loss, predicted):
    assert_array_equal(Model(np.ones(2), 0.0, loss).predict(X), predicted)


@pytest.mark.parametrize("loss", ["squared", "relu"])
def test_the_loss_of_a_margin_is_half_the_squared_error_of_its_prediction(loss):
    y = np.array([0.3, 2.0, -1.0])
    f = Objective(as_matrix(X), y, LOSSES[loss](), NoPenalty(), total=3, meter=Meter())
    expected = 0.5 * np.mean((LOSSES[loss]().prediction(X @ np.ones(2)) - y) ** 2)
    assert f.at(np.ones(2)).value == pytest.approx(expected, rel=1e-15)


def test_zero_is_a_stationary_point_of_the_rectified_loss_though_none_of_its_minima():
    f = Objective(as_matrix(X), np.ones(3), LOSSES["relu"](), L2(weight=0.1), total=3, meter=Meter())
    assert_array_equal(f.at(np.zeros(2)).gradient, np.zeros(2))
    assert f.at(np.array([0.5, 0.0])).value < f.at(np.zeros(2)).value


def test_from_a_random_start_the_rectified_regression_fits_its_data_to_the_noise():
    run = hpcopt.run(
        {
            "data": {"source": "relu-regression", "features": 50},
            "problem": {"loss": "relu", "l2": 0.0, "start": "random"},
            "solver": {"name": "lbfgs"},
            "cluster": {"kind": "virtual", "workers": 4},
            "stop": {"rounds": 100},
        }
    )
    # half the variance of the errors, minus the part that 50 coefficients fit of 2000; half of the rows are flat
    assert run.result["objective"] == pytest.approx(0.5 * 0.05**2 * (1 - 50 / 2000), rel=0.1)


def mean_loss(loss, z, y):
    """Return the mean loss, as scikit-learn and scipy define it."""
    if loss == "hinge":
        return hinge_loss(y, z)
    return np.mean(np.maximum(1.0 - y * z, 0.0) ** 2) if loss == "squared-hinge" else np.mean(huber(1.35, z - y))


def regression_or_classes(loss):
    """Return rows of two columns, the second with noise, and targets, a third of which are far off."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((60, 2)).astype(np.float32).astype(float)
    scores = rows @ [2.0, -1.0] + rng.standard_normal(60) + 0.5
    scores[::3] *= -6.0
    return rows, scores if loss == "huber" else np.sign(scores)


@pytest.mark.parametrize("loss", ["hinge", "squared-hinge", "huber"])
def test_the_objective_is_the_mean_loss_as_scikit_learn_and_scipy_define_it(loss):
    rows, y = regression_or_classes(loss)
    f = Linear().sized(LOSSES[loss](), 2, 0).oracle(as_matrix(rows), y, NoPenalty(), total=60, meter=Meter())
    for w in ([0.0, 0.0], [0.3, -2.0], [1e8, 1e8]):
        assert f.at(np.array(w)).value == pytest.approx(mean_loss(loss, rows @ w, y), rel=1e-12)


@pytest.mark.parametrize("solver", ["newton-cg", "lbfgs", "giant"])
@pytest.mark.parametrize(("loss", "form"), [("squared-hinge", "dense"), ("huber", "dense"), ("huber", "sparse")])
def test_solvers_with_and_without_second_derivatives_end_at_scipys_optimum(loss, form, solver):
    rows, y = regression_or_classes(loss)
    shifts = solver == "lbfgs" or LOSSES[loss].curved
    peer = scipy.optimize.minimize(
        lambda v: mean_loss(loss, rows @ v[:2] + shifts * v[2], y) + 0.05 * v[:2] @ v[:2], np.zeros(3), tol=1e-9
    )
    own = rows if form == "dense" else scipy.sparse.csr_array(rows.astype(np.float32))
    run = hpcopt.run(
        {
            "data": {"source": "arrays"},
            "problem": {"loss": loss, "l2": 0.1, "intercept": shifts},
            "solver": {"name": solver},
            "cluster": {"kind": "virtual", "workers": 3},
            "stop": {"gradient_norm": 1e-10, "rounds": 2000},
        },
        rows=from_arrays(own, y),
    )
    assert run.status is Status.GRADIENT
    assert run.result["objective"] <= peer.fun + 1e-12
    assert_allclose([*run.model.coef, run.model.intercept], peer.x, atol=1e-5)


@pytest.mark.parametrize(("solver", "l2"), [("lbfgs", 0.0), ("lbfgs", "1/n"), ("newton-cg", "1/n")])
def test_huge_targets_do_not_keep_a_huber_regression_from_its_optimum(solver, l2):
    rows, y = regression_or_classes("huber")
    y[:3] = 1e12, -1e9, 1e6
    spec = {"data": {"source": "arrays"}, "problem": {"loss": "huber", "l2": l2}, "solver": {"name": solver}}
    run = hpcopt.run({**spec, "stop": {"relative_gradient": 1e-8, "rounds": 2000}}, rows=from_arrays(rows, y))
    assert run.status is Status.GRADIENT


def test_fit_finds_the_optimum_of_a_huber_regression_that_starts_where_no_error_is_small(tmp_path, capsys):
    rows, y = load_diabetes(return_X_y=True)
    np.savez(tmp_path / "data.npz", X=rows, y=y)
    arguments = ["--loss", "huber", "--intercept", "--set", "problem.delta=2", "-o", str(tmp_path / "model.npz")]
    assert main(["fit", str(tmp_path / "data.npz"), *arguments]) == 0
    told = capsys.readouterr()
    assert "the gradient norm fell below the tolerance" in told.out
    assert not told.err
    with np.load(tmp_path / "model.npz") as model:
        slopes = np.clip(rows @ model["coef"] + model["intercept"] - y, -2.0, 2.0)
        assert_allclose(rows.T @ slopes / len(y) + model["coef"] / len(y), np.zeros(10), atol=1e-7)
        assert abs(slopes.mean()) < 1e-7


def test_without_flat_minima_no_run_claims_to_have_found_one(tmp_path, capsys):
    rows, y = regression_or_classes("hinge")
    np.savez(tmp_path / "data.npz", X=rows, y=y)
    model, data = str(tmp_path / "model.npz"), str(tmp_path / "data.npz")
    assert main(["fit", data, "--loss", "hinge", "--l2", "0.1", "-o", model, "--set", "stop.rounds=300"]) == 0
    told = capsys.readouterr()
    assert "scaled gradient" not in told.out
    assert told.err.startswith("hpcopt: warning: no test tells how far from the minimum this is: ")
    assert main(["predict", model, data]) == 0
    hits = np.count_nonzero(np.sign(rows @ np.load(model)["coef"]) == y)
    assert f"({hits} of 60 rows)" in capsys.readouterr().err
    assert main(["fit", data, "--loss", "hinge", "--tol", "1e-3", "-o", model]) == 1
    assert "stop.scaled_gradient: requires a smooth loss" in capsys.readouterr().err


@pytest.mark.parametrize(("l2", "status"), [(0.0, Status.PRECISION), (0.1, Status.FINISHED)])
def test_a_solver_that_ends_with_hinge_is_at_an_optimum_for_sure_only_if_the_gradient_is_zero(l2, status):
    """Without a penalty it is: all rows are beyond the margin. With it, the optimum w = 1 is at a row's kink."""
    rows, y = np.array([[1.0], [2.0], [-1.0]]), np.array([1.0, 1.0, -1.0])
    spec = {"data": {"source": "arrays"}, "problem": {"loss": "hinge", "l2": l2}, "solver": {"name": "lbfgs"}}
    run = hpcopt.run({**spec, "stop": {"rounds": 1000}}, rows=from_arrays(rows, y))
    assert run.status is status
    assert run.result["objective"] == pytest.approx(l2 / 2)
    assert "scaled_gradient" not in run.result
