"""Proximal L-BFGS: the optimum for every penalty on features in bad units, in few rounds, and B as BFGS defines it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import hpcopt
from hpcopt.data import from_arrays
from hpcopt.fabric.meter import Meter
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES
from hpcopt.problems.storage import as_matrix
from hpcopt.solvers.parts.subproblem import QuasiHessian
from tests.penalties import penalty_of

N = 90
RNG = np.random.default_rng(0)
Z = RNG.standard_normal((N, 6))
Z[:, 1] = Z[:, 0] + 0.05 * Z[:, 1]  # correlated
SCORES = Z @ [1.0, 0.5, -1.0, 0.0, 0.0, 0.0] + RNG.standard_normal(N)
UNITS, OFFSETS = np.array([1e-3, 10.0, 1.0, 1e3, 1.0, 30.0]), np.array([0.0, 50.0, 0.0, 0.0, 20.0, -100.0])
TARGETS = {"logistic": np.sign(SCORES), "squared": SCORES, "softmax": np.digitize(SCORES, [-0.7, 0.7]).astype(float)}


def solved(X, loss, stop, solver=None, **problem):
    return hpcopt.run(
        {
            "data": {"source": "arrays", "partition": "unequal", "fractions": [0.6, 0.3, 0.1]},
            "problem": {"loss": loss, "intercept": True, **problem},
            "solver": {"name": "prox-lbfgs", **(solver or {})},
            "cluster": {"kind": "virtual", "workers": 3},
            "stop": stop,
        },
        rows=from_arrays(X, TARGETS[loss]),
    )


def table_of(name):
    if name == "box":
        return {"name": "box", "lower": -0.02, "upper": 0.4}
    if name == "group-lasso":
        return {"name": name, "weight": 0.02, "groups": [[0, 3], [1, 2], [4, 5]]}
    return {"name": name, **dict.fromkeys({"l1", "l2", "weight"} & set(PENALTIES[name].__annotations__), 0.02)}


@pytest.mark.parametrize("correlated", [0, 1024])
@pytest.mark.parametrize("loss", ["squared", "softmax"])
@pytest.mark.parametrize("penalty", list(PENALTIES))
def test_the_residual_vanishes_for_every_penalty_in_few_rounds(penalty, loss, correlated):
    if penalty == "none" and loss == "softmax":
        pytest.skip("has no minimum")
    units = np.cbrt(UNITS) if penalty == "simplex" else UNITS  # its residual depends on them
    run = solved(
        Z * units + OFFSETS,
        loss,
        {"scaled_gradient": 1e-8, "rounds": 70 if correlated else 300},
        {"correlated": correlated},
        penalty=table_of(penalty),
    )
    assert run.status.name == "GRADIENT"


def test_it_has_the_objective_and_the_zeros_of_scikit_learn():
    X, l1 = Z * [0.1, 10.0, 1.0, 30.0, 1.0, 3.0] + 1.0, 0.03
    run = solved(X, "logistic", {"scaled_gradient": 1e-9}, l1=l1)
    peer = LogisticRegression(C=1 / (N * l1), l1_ratio=1.0, solver="saga", tol=1e-9, max_iter=200_000)
    peer.fit(X, TARGETS["logistic"])
    margins = TARGETS["logistic"] * (X @ peer.coef_[0] + peer.intercept_[0])
    theirs = np.logaddexp(0.0, -margins).mean() + l1 * np.abs(peer.coef_).sum()
    assert run.result["objective"] == pytest.approx(theirs, rel=1e-9)
    np.testing.assert_array_equal(run.model.coef == 0.0, peer.coef_[0] == 0.0)
    assert 0 < np.count_nonzero(run.model.coef) < 6


@pytest.mark.parametrize("correlated", [0, 1024])
def test_without_a_penalty_the_rounds_do_not_depend_on_units_and_offsets(correlated):
    rounds = [
        solved(X, "logistic", {"scaled_gradient": 1e-7}, {"correlated": correlated}, penalty="none").result["rounds"]
        for X in (Z, Z * UNITS + OFFSETS)
    ]
    assert abs(rounds[0] - rounds[1]) <= 2


DEGENERATE = {
    "a feature twice": np.hstack([Z, Z[:, :2]]),
    "constant features": np.hstack([Z, np.zeros((N, 1)), np.full((N, 1), 7.0)]),
    "more features than rows": np.random.default_rng(1).standard_normal((N, 120)),
    "seconds since 1970": np.hstack([Z[:, :3], 1e8 * Z[:, 3:4] + 1.6e9]),
    "far away": Z + 1e6,
    "one row apart": np.vstack([Z[:-1], 1e4 * Z[-1:]]),
}


@pytest.mark.parametrize("correlated", [0, 1024])
@pytest.mark.parametrize("kind", DEGENERATE)
def test_it_converges_on_degenerate_features_and_to_the_same_objective_with_and_without_correlations(kind, correlated):
    run = solved(DEGENERATE[kind], "logistic", {"scaled_gradient": 1e-7}, {"correlated": correlated}, l1=0.01)
    other = solved(DEGENERATE[kind], "logistic", {"kkt": 1e-11, "rounds": 500}, {"memory": 40}, l1=0.01)
    assert run.status.converged
    assert run.result["objective"] == pytest.approx(other.result["objective"], rel=1e-9)


@pytest.mark.parametrize("correlated", [0, 1024])
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_quasi_hessian_is_that_of_the_bfgs_formula(outputs, correlated):
    loss = "logistic" if outputs == 1 else "softmax"
    model = MODELS["linear"](intercept=True).sized(LOSSES[loss](), 6, outputs)
    f = model.oracle(as_matrix(model.rows(Z), None), TARGETS[loss], penalty_of("l1", 6), total=N, meter=Meter())
    metric = f.metric(lambda v: v, correlated=correlated, loss_only=True)
    rng, chosen = np.random.default_rng(1), np.delete(np.arange(f.d), [1, 4])
    steps, changes = [], []
    for _ in range(3):
        s = np.zeros(f.d)
        s[chosen] = rng.standard_normal(len(chosen))
        y = metric.times(0.1 * s + 0.01 * rng.standard_normal(f.d))
        root = np.sqrt(s @ y)
        steps.append(s / root)
        changes.append(y / root)
    G = np.array([metric.times(e) for e in np.eye(f.d)])
    B = G * (changes[-1] @ np.linalg.solve(G, changes[-1]))
    for s, y in zip(steps, changes, strict=True):
        B = B - np.outer(B @ s, B @ s) / (s @ B @ s) + np.outer(y, y) / (s @ y)
    hessian = QuasiHessian(metric, steps, changes, chosen)
    np.testing.assert_allclose(hessian.matrix, B[np.ix_(chosen, chosen)], rtol=1e-9, atol=1e-12)
    v = rng.standard_normal(len(chosen))
    np.testing.assert_allclose(hessian._product(v), hessian.matrix @ v, rtol=1e-9, atol=1e-12)
