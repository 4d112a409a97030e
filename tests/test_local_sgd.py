"""Local SGD, in addition to the tests of every solver."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.parts.batches import shuffled_rows

LocalSGD, SGD = SOLVERS["local-sgd"], SOLVERS["sgd"]


def test_one_local_step_on_all_rows_is_gradient_descent():
    spread = logistic()
    local = solve(LocalSGD(batch=0, local_steps=1, step_size=0.3), spread, rounds=5)
    descent = solve(SGD(batch=0, step_size=0.3), spread, rounds=5)
    np.testing.assert_allclose(local.w, descent.w, rtol=1e-10)


def test_a_round_takes_one_epoch_unless_told_otherwise():
    solved = solve(LocalSGD(batch=7), logistic(n=120, nodes=4), rounds=3)
    assert solved.outcome.state.steps == solved.outcome.state.means * 5  # 30 rows in batches of 7
    assert solved.rows[-1]["work"] == pytest.approx(solved.outcome.state.means + 1)  # a pass to find the step size


@pytest.mark.parametrize("count", [1, 9, 10, 25])
def test_rows_come_in_whole_permutations(count):
    rows = shuffled_rows(np.random.default_rng(0), 10, count)
    assert len(rows) == count
    for epoch in range(0, count - 9, 10):
        assert sorted(rows[epoch : epoch + 10]) == list(range(10))


def test_automatic_steps_never_diverge_and_constant_objectives_are_no_trouble():
    spread = ridge()
    wild = type(spread)("squared", spread.X * 1e3, spread.y, 0.0, spread.sizes)
    assert np.isfinite(solve(LocalSGD(), wild, rounds=5).w).all()
    nothing = type(spread)("squared", spread.X * 0.0, spread.y, 0.0, spread.sizes)
    assert not solve(LocalSGD(), nothing, rounds=3).w.any()
