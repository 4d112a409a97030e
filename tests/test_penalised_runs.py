"""Runs with penalties that are not smooth: the columns of their trace, goals, starts, groups of features."""

from __future__ import annotations

import re

import numpy as np
import pytest

import hpcopt
from hpcopt.data import from_arrays
from hpcopt.errors import InputError

N, D = 60, 4
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, D)) * [1.0, 2.0, 0.5, 1.0]
Y = X @ [1.0, 0.0, -2.0, 0.0] + 3.0 + 0.1 * RNG.standard_normal(N)
GROUPS = {"name": "group-lasso", "weight": 0.2, "groups": [[0, 2], [1, 3]]}


def solved(problem, stop, solver="adagrad-cmd", y=Y, workers=3):
    return hpcopt.run(
        {
            "data": {"source": "arrays"},
            "problem": {"loss": "squared", "intercept": True, **problem},
            "solver": {"name": solver, **({"batch": 0, "step_size": 1.0} if solver == "adagrad-cmd" else {})},
            "stop": stop,
            "cluster": {"kind": "virtual", "workers": workers},
        },
        rows=from_arrays(X, y),
    )


def test_the_trace_has_the_zeros_and_the_residual_and_the_intercept_is_not_penalised():
    run = solved({"l1": 0.3}, {"kkt": 1e-8, "rounds": 2000})
    last = run.trace[-1]
    assert (run.status.name, run.result["reached"]) == ("KKT", True)
    w, b = run.model.coef, float(run.model.intercept)
    slope = np.append(X.T @ (X @ w + b - Y), np.sum(X @ w + b - Y)) / N
    residual = np.where(
        w == 0.0, np.sign(slope[:D]) * np.maximum(np.abs(slope[:D]) - 0.3, 0), slope[:D] + 0.3 * np.sign(w)
    )
    assert 0 < np.count_nonzero(w) == last["nonzeros"] < D
    assert last["kkt"] == pytest.approx(max(np.abs(residual).max(), abs(slope[D])), abs=1e-13)
    assert last["kkt"] <= 1e-8
    assert last["kkt"] <= last["grad_norm"] <= 3 * last["kkt"]
    assert run.trace[0]["nonzeros"] == 0
    assert run.trace[0]["kkt"] == pytest.approx(abs(np.mean(Y)))  # of the intercept: zero weights are far from moving
    assert b == pytest.approx(np.mean(Y - X @ w), abs=1e-6)


def test_a_smooth_penalty_has_neither_column():
    assert not {"nonzeros", "kkt"} & solved({}, {"rounds": 3}, solver="lbfgs").trace[-1].keys()


def test_a_scaled_gradient_is_reached_although_features_are_dependent():
    twice = np.hstack([X, X[:, :2]])
    run = hpcopt.run(
        {
            "data": {"source": "arrays"},
            "problem": {"loss": "squared", "l1": 0.3},
            "solver": {"name": "adagrad-cmd", "batch": 0, "step_size": 1.0},
            "stop": {"scaled_gradient": 1e-8, "rounds": 3000},
        },
        rows=from_arrays(twice, Y),
    )
    assert run.status.name == "GRADIENT"


@pytest.mark.parametrize(
    ("penalty", "holds"),
    [
        ("simplex", lambda w: w.min() >= 0.0 and abs(w.sum() - 1.0) < 1e-9),
        ({"name": "l2-ball", "radius": 0.5}, lambda w: np.linalg.norm(w) < 0.5 * (1 + 1e-9)),
        ({"name": "box", "lower": [0, 0, -1, 0]}, lambda w: np.all(w >= [0, 0, -1, 0])),
        (GROUPS, lambda w: (w[[1, 3]] == 0.0).all() and (w[[0, 2]] != 0.0).all()),
    ],
)
def test_constraints_and_groups_hold_from_the_start_to_the_optimum(penalty, holds):
    run = solved({"penalty": penalty, "start": "ones"}, {"kkt": 1e-6, "rounds": 3000})
    assert run.status.name == "KKT"
    assert holds(run.model.coef)
    assert all(np.isfinite(record["objective"]) for record in run.trace)


def test_groups_are_of_features_whatever_the_number_of_outputs():
    classes = (Y > 3.0).astype(float) + (Y > 5.0)
    penalty = {**GROUPS, "group_weights": [0.1, 3.0]}
    run = solved({"loss": "softmax", "penalty": penalty}, {"kkt": 1e-5, "rounds": 3000}, y=classes)
    assert run.model.coef.shape == (3, D)
    assert (run.model.coef[:, [1, 3]] == 0.0).all()
    assert (run.model.coef[:, [0, 2]] != 0.0).all()


@pytest.mark.parametrize(
    ("problem", "solver", "message"),
    [
        (
            {"penalty": {**GROUPS, "groups": [[0, 1]]}},
            "adagrad-cmd",
            "problem.penalty.groups: feature 2 is in no group",
        ),
        ({"penalty": {**GROUPS, "groups": [[0, 1, 2, 3, 4]]}}, "adagrad-cmd", "problem.penalty.groups: there is no"),
        ({"l1": 0.1}, "newton-cg", 'newton-cg requires a smooth penalty, which "l1" is not; choose one of adagrad-cmd'),
    ],
)
def test_what_cannot_run_is_told_in_one_line(problem, solver, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        solved(problem, {"rounds": 1}, solver=solver)
    assert "\n" not in str(caught.value)
