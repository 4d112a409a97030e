"""signSGD with majority vote: the listing, ties, and one bit per coordinate and direction."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.conformance.problems import logistic
from hpcopt.conformance.solving import solve
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.signsgd import majority, pack_result, unpack_result


@pytest.mark.parametrize("exchange", ["hub", "all-gather"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nodes", [1, 3, 4])
def test_every_coordinate_moves_by_the_sign_of_the_majority(nodes, momentum, exchange):
    spread = logistic(d=11, nodes=nodes)
    w, running = np.zeros(11), np.zeros((nodes, 11))
    for _ in range(10):
        gradients = np.array([f.at(w).gradient for f in spread.objectives()])
        running = momentum * running + (1.0 - momentum) * gradients
        w = w - 0.05 * np.sign(np.where(running >= 0.0, 1.0, -1.0).sum(axis=0))
    solver = SOLVERS["signsgd"](step_size=0.05, batch=0, momentum=momentum, exchange=exchange)
    solved = solve(solver, spread, iterations=10)
    np.testing.assert_array_equal(solved.w, w)


@pytest.mark.parametrize(("nodes", "down"), [(3, 2), (4, 3)])  # 11 signs are 2 bytes, 11 trits 3
def test_the_bytes_are_a_bit_up_and_a_bit_or_a_trit_down(nodes, down):
    solved = solve(SOLVERS["signsgd"](), logistic(d=11, nodes=nodes), iterations=10)
    assert solved.rows[-1]["bytes_up"] == 10 * (nodes - 1) * 2
    assert solved.rows[-1]["bytes_down"] == 10 * (nodes - 1) * down


def test_a_tie_is_zero_and_zero_has_a_positive_sign():
    signs = [np.packbits(np.array(g) >= 0.0) for g in ([0.0, 1.0, -1.0], [2.0, -1.0, -0.5])]
    assert majority(signs, 3).tolist() == [1, 0, -1]


@pytest.mark.parametrize("d", range(1, 12))
@pytest.mark.parametrize("nodes", [3, 4])
def test_what_the_hub_packs_is_what_the_nodes_unpack(nodes, d):
    result = np.random.default_rng(d).integers(-1, 2, d).astype(np.int8)
    result[(result == 0) & bool(nodes % 2)] = 1
    np.testing.assert_array_equal(unpack_result(pack_result(result, nodes), nodes, d), result)
