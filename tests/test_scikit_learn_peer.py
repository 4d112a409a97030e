"""The headline's parameter of scikit-learn gives the same objective: its estimator ends at our optimum."""

import re

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, HuberRegressor, Lasso, LogisticRegression, Ridge
from sklearn.svm import SVC, LinearSVC

import hpcopt
from hpcopt.data import from_arrays
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES

N, D = 90, 3
L2 = 0.04
CASES = [("logistic", 2), ("squared", 0), ("softmax", 2), ("softmax", 3), ("softmax", 4)]
PEERS = [(*case, intercept) for case in CASES for intercept in (False, True)]
PEERS += [("squared-hinge", 2, False)]  # LinearSVC penalises its intercept


def rows(classes):
    rng = np.random.default_rng(classes)
    X = rng.standard_normal((N, D))
    scores = X @ rng.standard_normal((D, max(classes, 1))) + 0.7 * rng.standard_normal((N, max(classes, 1))) + 1.0
    if classes == 0:
        return X, scores[:, 0]
    return X, (scores.argmax(axis=1) if classes > 2 else (scores[:, 0] > 0.8).astype(int)).astype(float)


def fitted(text, X, y, intercept):
    """Return coefficients and intercepts of scikit-learn's estimator with the headline's parameter."""
    name, value = re.search(r"\(scikit-learn: (.*) = (.*)\)", text).groups()
    if name == "Ridge alpha":
        peer = Ridge(alpha=float(value), fit_intercept=intercept, tol=1e-12).fit(X, y)
    elif name == "LinearSVC C":
        peer = LinearSVC(C=float(value), fit_intercept=intercept, tol=1e-12, max_iter=100_000).fit(X, y)
    elif name == 'LinearSVC(loss="hinge") C':
        peer = LinearSVC(loss="hinge", C=float(value), fit_intercept=intercept, tol=1e-9, max_iter=100_000).fit(X, y)
    elif name == 'SVC(kernel="linear") C':
        peer = SVC(kernel="linear", C=float(value), tol=1e-9).fit(X, y)
    else:
        assert name == "C"
        peer = LogisticRegression(C=float(value), fit_intercept=intercept, tol=1e-12, max_iter=100_000).fit(X, y)
    return np.atleast_2d(peer.coef_), np.atleast_1d(peer.intercept_)


@pytest.mark.parametrize("penalty", ["l2", "its table"])
@pytest.mark.parametrize(("loss", "classes", "intercept"), PEERS)
def test_scikit_learn_with_that_parameter_ends_at_our_optimum(loss, classes, intercept, penalty, capsys):
    X, y = rows(classes)
    problem = {"loss": loss, "intercept": intercept}
    problem |= {"l2": L2} if penalty == "l2" else {"penalty": {"name": "l2", "weight": f"{N * L2}/n"}}
    specification = {
        "data": {"source": "arrays"},
        "problem": problem,
        "solver": {"name": "lbfgs"},
        "stop": {"gradient_norm": 1e-9, "rounds": 5000},
    }
    run = hpcopt.run(specification, rows=from_arrays(X, y), quiet=False)
    (headline,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("objective: ")]
    coef, shift = fitted(headline, X, y, intercept)
    ours, own = np.atleast_2d(run.model.coef), np.atleast_1d(run.model.intercept)
    if loss == "softmax" and classes == 2:
        ours, own = ours[1:] - ours[:1], own[1:] - own[:1]
    np.testing.assert_allclose(ours, coef, atol=1e-5)
    np.testing.assert_allclose(own - own.mean() * (classes > 2), shift - shift.mean() * (classes > 2), atol=1e-5)


@pytest.mark.parametrize("l2", [0.0, 0.02])
@pytest.mark.parametrize(("loss", "classes"), CASES)
def test_scikit_learns_sparse_estimator_with_those_parameters_ends_where_our_residual_is_zero(
    loss, classes, l2, capsys, tmp_path
):
    X, y = rows(classes)
    X = np.hstack([X, np.random.default_rng(100).standard_normal((N, 3))])
    specification = {
        "data": {"source": "arrays"},
        "problem": {"loss": loss, "intercept": True, "l1": 0.15, "l2": l2},
        "solver": {"name": "adagrad-cmd"},
        "stop": {"iterations": 0},
    }
    hpcopt.run(specification, rows=from_arrays(X, y), quiet=False)
    kind, given = re.search(r"\(scikit-learn: (?:([A-Z]\w+) )?(.*)\)", capsys.readouterr().out).groups()
    parameters = {name: float(value) for name, value in re.findall(r"(\w+) = ([^,]+)", given)}
    estimator = {"Lasso": Lasso, "ElasticNet": ElasticNet}.get(kind)
    if estimator is None:
        peer = LogisticRegression(**parameters, solver="saga", tol=1e-10, max_iter=100_000).fit(X, y)
    else:
        peer = estimator(**parameters, tol=1e-12).fit(X, y)
    coef, shift = np.atleast_2d(peer.coef_), np.atleast_1d(peer.intercept_)
    if loss == "softmax" and classes == 2:
        coef, shift = np.vstack([-coef, coef]) / 2.0, np.append(-shift, shift) / 2.0
    np.save(tmp_path / "w.npy", np.append(coef.T.ravel(), shift))
    specification["problem"]["start"] = str(tmp_path / "w.npy")
    (first,) = hpcopt.run(specification, rows=from_arrays(X, y)).trace
    assert first["kkt"] < 1e-6
    assert first["nonzeros"] == np.count_nonzero(coef) < coef.size


@pytest.mark.parametrize("intercept", [False, True])
def test_the_support_vector_machine_with_that_parameter_has_our_lowest_objective(intercept, capsys):
    """By subgradients, with steps that decrease as 1/t: the distance to the optimum falls as fast (Pegasos)."""
    X, y = rows(2)
    specification = {
        "data": {"source": "arrays"},
        "problem": {"loss": "hinge", "intercept": intercept, "l2": L2},
        "solver": {"name": "sgd", "step_size": {"initial": 1.0, "decay": L2, "power": 1.0}},
        "stop": {"rounds": 6000},
        "output": {"record_every": 0},
    }
    run = hpcopt.run(specification, rows=from_arrays(X, y), quiet=False)
    (headline,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("objective: ")]
    ((coef,), (shift,)) = fitted(headline, X, y, intercept)

    def objective(w, b):
        return np.maximum(1.0 - np.where(y > 0, 1.0, -1.0) * (X @ w + b), 0.0).mean() + L2 / 2 * w @ w

    lowest, ours = objective(coef, shift), objective(run.model.coef, run.model.intercept)
    assert run.result["objective"] == pytest.approx(ours, rel=1e-12)
    assert lowest - 1e-7 <= ours <= lowest * (1.0 + 1e-3)
    np.testing.assert_allclose(run.model.coef, coef, atol=0.02)


@pytest.mark.parametrize(("solver", "intercept"), [("newton-cg", False), ("lbfgs", False), ("lbfgs", True)])
def test_a_huber_regression_at_the_scale_that_scikit_learns_has_found_is_its_regression(solver, intercept):
    """HuberRegressor finds the errors' scale s, too: at its optimum, delta = epsilon s and l2 = alpha s / n."""
    X, y = rows(0)
    y[::9] += 20.0
    peer = HuberRegressor(epsilon=1.5, alpha=0.3, tol=1e-12, max_iter=10_000, fit_intercept=intercept).fit(X, y)
    problem = {"loss": "huber", "delta": 1.5 * peer.scale_, "intercept": intercept, "l2": 0.3 * peer.scale_ / N}
    specification = {"data": {"source": "arrays"}, "problem": problem, "solver": {"name": solver}}
    run = hpcopt.run({**specification, "stop": {"gradient_norm": 1e-10}}, rows=from_arrays(X, y))
    assert run.status.reached
    np.testing.assert_allclose([*run.model.coef, run.model.intercept], [*peer.coef_, peer.intercept_], atol=1e-4)


def test_every_loss_with_a_peer_is_compared():
    told = {(name, on) for name in LOSSES for on in (False, True) if LOSSES[name]().peer(0.0, 1.0, 1, 2, intercept=on)}
    assert told == {(loss, intercept) for loss, _, intercept in PEERS} | {("hinge", False), ("hinge", True)}


@pytest.mark.parametrize("penalty", [name for name in PENALTIES if PENALTIES[name].smooth])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_no_parameter_is_told_where_there_is_none(loss, penalty, capsys):
    X, y = rows(3 if LOSSES[loss].__name__ == "Softmax" else 2)
    weight = {"weight": 0.1} if penalty != "none" else {}
    model = "mlp" if MODELS["mlp"].takes(LOSSES[loss]) else "linear"
    specification = {
        "data": {"source": "arrays"},
        "problem": {"model": model, "loss": loss, "penalty": {"name": penalty, **weight}, "start": "random"},
        "solver": {"name": "sgd", "step_size": 0.1},
        "stop": {"rounds": 0},
    }
    hpcopt.run(specification, rows=from_arrays(X, y), quiet=False)
    told = "scikit-learn" in capsys.readouterr().out
    with_peer = {"logistic", "squared", "hinge", "squared-hinge"}
    assert told == (model == "linear" and penalty == "l2" and loss in with_peer)
