"""The headline's parameter of scikit-learn gives the same objective: its estimator ends at our optimum."""

import re

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge

import hpcopt
from hpcopt.data import from_arrays
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES

N, D = 90, 3
L2 = 0.04
CASES = [("logistic", 2), ("squared", 0), ("softmax", 2), ("softmax", 3), ("softmax", 4)]


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
    else:
        assert name == "C"
        peer = LogisticRegression(C=float(value), fit_intercept=intercept, tol=1e-12, max_iter=100_000).fit(X, y)
    return np.atleast_2d(peer.coef_), np.atleast_1d(peer.intercept_)


@pytest.mark.parametrize("penalty", ["l2", "its table"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("loss", "classes"), CASES)
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


def test_every_loss_with_a_peer_is_compared():
    peers = {name for name in LOSSES if LOSSES[name]().peer(0.0, 1.0, 1, 2) is not None}
    assert peers == {loss for loss, _ in CASES}


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
    assert told == (model == "linear" and penalty == "l2" and loss in {"logistic", "squared"})
