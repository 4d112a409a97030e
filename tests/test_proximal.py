"""Proximal SGD and SVRG and FTRL: the steps of their papers, and the optimum of a lasso."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.solving import solve
from hpcopt.problems.penalties import PENALTIES
from hpcopt.solvers import SOLVERS
from tests.penalised import WEIGHT, lasso, penalised, residual

THRESHOLD = COMPRESSORS["threshold-ternary"]()


def test_a_proximal_step_is_a_soft_threshold_after_a_gradient_step():
    spread = lasso(nodes=1)
    start = np.linspace(-0.1, 0.1, spread.d)
    u = start - 0.5 * spread.serial().at(start).loss_gradient
    w = solve(SOLVERS["prox-sgd"](step_size=0.5), spread, start=start, rounds=1).w
    np.testing.assert_allclose(w, np.sign(u) * np.maximum(np.abs(u) - 0.5 * WEIGHT, 0.0), atol=1e-15)


def test_without_a_penalty_proximal_sgd_is_sgd():
    spread = penalised(PENALTIES["none"]()).over(60, 40, 20)
    for compressor in (COMPRESSORS["identity"](), COMPRESSORS["ternary"]()):
        runs = [
            solve(SOLVERS[name](compressor=compressor, batch=10, step_size=0.5), spread, rounds=15)
            for name in ("sgd", "prox-sgd")
        ]
        np.testing.assert_allclose(runs[1].w, runs[0].w, rtol=1e-12)


def test_proximal_sgd_with_error_feedback_comes_near_the_optimum_of_a_lasso():
    spread = lasso()
    solver = SOLVERS["prox-sgd"](compressor=THRESHOLD, error_feedback="ef", step_size=0.1)
    w = solve(solver, spread, rounds=300, record_every=0).w
    assert residual(spread, w) < 0.2 * residual(spread, np.zeros(spread.d))


@pytest.mark.parametrize(("snapshot", "near"), [("last", 1e-4), ("mean", 3e-3)])
def test_variance_reduction_reaches_the_optimum_of_a_lasso(snapshot, near):
    spread = lasso(n=200).over(80, 60, 40, 20)
    solver = SOLVERS["prox-svrg"](batch=8, epoch=40, snapshot=snapshot, step_size="1/L")
    assert residual(spread, solve(solver, spread, rounds=400, record_every=0).w) < near


def test_ftrl_is_the_listing_of_its_paper_with_weights_that_grow_with_the_steps():
    spread, alpha, beta, l1, l2 = penalised(PENALTIES["l2"](weight=0.02), nodes=1), 0.3, 0.5, 0.0, 0.02
    for penalty in ("l1", "l2"):
        if penalty == "l1":
            spread, l1, l2 = lasso(nodes=1), WEIGHT, 0.0
        f = spread.serial()
        z, n, w = np.zeros(f.d), np.zeros(f.d), np.zeros(f.d)
        for t in range(1, 31):
            g = f.at(w).loss_gradient
            sigma = (np.sqrt(n + g**2) - np.sqrt(n)) / alpha
            z += g - sigma * w
            n += g**2
            kept = -(z - np.sign(z) * t * l1) / ((beta + np.sqrt(n)) / alpha + t * l2)
            w = np.where(np.abs(z) <= t * l1, 0.0, kept)
        solved = solve(SOLVERS["ftrl"](step_size=alpha, delta=beta, batch=0), spread, rounds=30)
        np.testing.assert_allclose(solved.w, w, rtol=1e-12)
