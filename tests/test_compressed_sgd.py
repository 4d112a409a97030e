"""SGD with compressed gradients, with and without error feedback."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS
from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.errors import InputError
from hpcopt.solvers import SOLVERS

TOP = COMPRESSORS["top-k"](k=1)


def sgd(**parameters):
    return SOLVERS["sgd"](**parameters)


@pytest.mark.parametrize(("feedback", "near"), [("ef", 1e-3), ("ef21", 1e-10)])  # "ef" keeps a floor of order step^2
@pytest.mark.parametrize("compressor", [TOP, COMPRESSORS["sign"](), COMPRESSORS["threshold-ternary"]()])
def test_feedback_brings_biased_compressors_to_the_optimum(feedback, near, compressor):
    spread = logistic()
    _, best = spread.optimum()
    solved = solve(sgd(compressor=compressor, error_feedback=feedback), spread, rounds=3000, gradient_norm=1e-7)
    assert solved.rows[-1]["objective"] == pytest.approx(best, rel=near)


def test_terngrad_comes_near_the_optimum_and_sends_a_fraction_of_the_bytes():
    spread = ridge(n=400, d=40)
    _, best = spread.optimum()
    plain = solve(sgd(step_size=0.05), spread, rounds=300)
    ternary = solve(sgd(step_size=0.05, compressor=COMPRESSORS["ternary"]()), spread, rounds=300)
    first = plain.rows[0]["objective"] - best
    assert ternary.rows[-1]["objective"] - best < 0.02 * first
    assert ternary.rows[-1]["bytes"] < plain.rows[-1]["bytes"] / 5


def test_exact_messages_give_the_iterates_of_the_mean():
    spread = logistic().over(60, 30, 20, 10)
    exact = COMPRESSORS["top-k"](fraction=1.0)  # float32, all of them
    for feedback in ("none", "ef", "ef21"):
        plain, ours = (
            solve(sgd(compressor=c, error_feedback=feedback, momentum=0.5), spread, rounds=20)
            for c in (COMPRESSORS["identity"](), exact)
        )
        np.testing.assert_allclose(ours.w, plain.w, rtol=1e-5)


def test_what_error_feedback_sent_and_still_holds_is_what_it_was_given():
    spread = logistic()
    solved = solve(sgd(compressor=TOP, error_feedback="ef", step_size=0.3), spread, rounds=15)
    errors = np.mean([outcome.state.memory for outcome in solved.outcomes], axis=0)
    w, given = np.zeros(spread.d), np.zeros(spread.d)
    for rounds in range(15):
        w = solve(sgd(compressor=TOP, error_feedback="ef", step_size=0.3), spread, rounds=rounds).w
        given += 0.3 * spread.serial().at(w).gradient
    np.testing.assert_allclose(errors - solved.w, given, rtol=1e-9)


def test_the_copies_of_ef21_are_the_same_mean_everywhere():
    solved = solve(sgd(compressor=TOP, error_feedback="ef21"), logistic(), rounds=25)
    own = [outcome.state.memory for outcome in solved.outcomes]
    for outcome in solved.outcomes:
        np.testing.assert_allclose(outcome.state.copies, np.mean(own, axis=0), atol=1e-14)


def test_ef21_refuses_batches():
    with pytest.raises(InputError, match=r'error_feedback: "ef21" requires full gradients, batch = 0; got batch = 8'):
        sgd(error_feedback="ef21", batch=8)


def test_a_diverging_compressed_run_ends_as_one():
    solved = solve(sgd(step_size=1e200, compressor=COMPRESSORS["ternary"]()), logistic(), rounds=30)
    assert solved.outcome.status.diverged
