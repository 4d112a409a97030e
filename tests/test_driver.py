"""The driver: when a run ends, what is recorded, which model is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hpcopt.compression.qsgd import QSGD
from hpcopt.conformance.problems import logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.results.output import Output
from hpcopt.results.stopping import Status, StopRule
from hpcopt.runs.description import result_of
from hpcopt.solvers import SOLVERS
from tests.records import record


def test_the_first_row_is_the_start_and_costs_nothing():
    row = solve(SOLVERS["lbfgs"](), logistic(), rounds=3).rows[0]
    assert (row["round"], row["bytes"], row["seconds"], row["work"]) == (0, 0, 0.0, 0.0)
    assert row["objective"] == pytest.approx(np.log(2.0))


@pytest.mark.parametrize("rounds", [0, 1, 5])
def test_a_budget_of_rounds_is_kept(rounds):
    solved = solve(SOLVERS["local-sgd"](step_size=0.1), logistic(), rounds=rounds)
    assert solved.outcome.status is Status.ROUNDS
    assert solved.rows[-1]["round"] == rounds


@pytest.mark.parametrize("record_every", [0, 1, 4])
def test_a_budget_of_iterations_is_kept(record_every):
    solved = solve(SOLVERS["giant"](), logistic(), iterations=3, record_every=record_every)
    assert solved.outcome.status is Status.ITERATIONS
    assert (solved.rows[-1]["iteration"], solved.rows[-1]["round"]) == (3, 9)


@pytest.mark.parametrize(
    ("models", "every", "wide", "records"),  # up to which iteration each is recorded, and how many of the first 1,000
    [(1, 64, 1 / 32, 190), (128, 64, 1 / 32, 190), (256, 32, 1 / 16, 113), (4096, 8, 1 / 4, 36)],
)
def test_records_are_made_at_a_fraction_of_the_iterations_so_far(models, every, wide, records):
    made = [0]
    while made[-1] < 1000:
        made.append(Output().next_measured(made[-1], models, judged=True))
    assert made[: every + 1] == [*range(every + 1)]
    assert made[every + 1] == every + 2
    gaps = np.diff(made[every:])
    assert (gaps >= wide / 2 * np.array(made[every + 1 :])).all()
    assert (gaps <= wide * np.array(made[every:-1])).all()
    assert len(made) == pytest.approx(records, abs=3)
    assert all(Output().next_measured(here, models, judged=True) == then for here, then in itertools.pairwise(made))


def test_the_default_interval_of_records_grows():
    spread = logistic(nodes=2)
    solver = SOLVERS["sgd"](step_size=0.1)
    every, default = (solve(solver, spread, rounds=150, record_every=n).rows for n in (1, "auto"))
    assert [row["iteration"] for row in default] == [*range(65), *range(66, 129, 2), *range(132, 150, 4), 150]
    assert [row["objective"] for row in default] == [every[row["iteration"]]["objective"] for row in default]


@pytest.mark.parametrize(
    ("name", "parameters", "up", "down"),  # bytes of a round of four nodes of six numbers each
    [
        ("local-newton", {}, 3 * 48, 3 * 48),
        ("sgd", {"step_size": 0.1}, 3 * 48, 3 * 48),
        ("sgd", {"step_size": 0.1, "compressor": QSGD(levels=127, scaled=False)}, 3 * 10, 3 * 4 * 10),
    ],
)
def test_the_trace_has_the_bytes_of_each_direction(name, parameters, up, down):
    spread = logistic(nodes=4)
    assert spread.d == 6
    for row in solve(SOLVERS[name](**parameters), spread, rounds=5).rows:
        assert (row["bytes_up"], row["bytes_down"]) == (row["round"] * up, row["round"] * down)
        assert row["bytes"] == row["bytes_up"] + row["bytes_down"]


def test_the_result_of_a_run_that_diverges_has_all_that_was_sent_in_both_directions():
    solved = solve(SOLVERS["sgd"](step_size=1e3, momentum=0.9), ridge(), rounds=60)
    assert solved.outcome.status.diverged
    assert solved.outcome.record.bytes < solved.outcome.last.bytes
    result = result_of(solved.outcome, [])
    assert result["bytes"] == result["bytes_up"] + result["bytes_down"] == solved.rows[-1]["bytes"]


@pytest.mark.parametrize("name", ["dgd", "ad-psgd"])
def test_messages_among_neighbours_have_no_directions_in_the_trace(name):
    columns = set().union(*solve(SOLVERS[name](), logistic(), rounds=5).rows)
    assert "bytes_up" not in columns
    assert "bytes_down" not in columns


def test_a_budget_of_bytes_ends_the_run():
    solved = solve(SOLVERS["sgd"](step_size=0.1), logistic(), bytes=3000)
    assert solved.outcome.status is Status.BYTES
    assert solved.rows[-2]["bytes"] < 3000 <= solved.rows[-1]["bytes"]


def test_a_budget_of_seconds_is_of_the_runs_own_clock():
    solved = solve(SOLVERS["sgd"](step_size=0.1), logistic(), seconds=1e-3)
    assert solved.outcome.status is Status.SECONDS
    assert solved.rows[-1]["clock"] == "virtual"
    assert solved.rows[-2]["seconds"] < 1e-3 <= solved.rows[-1]["seconds"]


@pytest.mark.parametrize("record_every", [0, 1, 7])
def test_a_target_ends_the_run_where_it_is_first_seen(record_every):
    spread = ridge()
    target = spread.optimum()[1] * 1.001
    solved = solve(SOLVERS["sgd"](), spread, target=target, record_every=record_every)
    assert solved.outcome.status is Status.TARGET
    assert solved.rows[-1]["objective"] <= target < solved.rows[-2]["objective"]


def test_the_certified_gap_bounds_the_true_one():
    spread = logistic()
    solved = solve(SOLVERS["lbfgs"](), spread, gap=1e-6)
    assert solved.outcome.status is Status.GAP
    assert solved.rows[-1]["objective"] - spread.optimum()[1] <= 1e-6


def test_a_relative_gradient_is_a_part_of_the_first_one():
    solved = solve(SOLVERS["lbfgs"](), logistic(), relative_gradient=1e-3)
    assert solved.outcome.status is Status.GRADIENT
    assert solved.rows[-1]["grad_norm"] <= 1e-3 * solved.rows[0]["grad_norm"] < solved.rows[-2]["grad_norm"]


@pytest.mark.parametrize("record_every", [0, 1])
def test_a_diverging_run_ends_and_keeps_its_best_model(record_every):
    spread = ridge()
    solved = solve(SOLVERS["sgd"](step_size=3.0), spread, rounds=500, record_every=record_every)
    assert solved.outcome.status is Status.DIVERGED
    kept = spread.serial().at(solved.w).value
    assert kept == pytest.approx(min(row["objective"] for row in solved.rows))
    assert solved.outcome.record.objective == pytest.approx(kept)


def test_a_run_of_numbers_that_are_none_has_diverged():
    spread = logistic()
    solved = solve(SOLVERS["lbfgs"](), spread, start=np.full(spread.d, np.nan), rounds=3)
    assert solved.outcome.status is Status.DIVERGED


def test_a_solver_that_ends_is_said_to_have():
    solved = solve(SOLVERS["one-shot"](), logistic(), rounds=50)
    assert solved.outcome.status is Status.FINISHED
    assert solved.rows[-1]["round"] == 1


@pytest.mark.parametrize("record_every", [2, 3, 10])
def test_every_so_many_th_iteration_is_recorded_and_always_the_last(record_every):
    solved = solve(SOLVERS["sgd"](step_size=0.1), logistic(), rounds=8, record_every=record_every)
    expected = [*range(0, 8, record_every), 8]
    assert [row["iteration"] for row in solved.rows] == expected


def test_work_counts_passes_over_all_the_data():
    solved = solve(SOLVERS["sgd"](step_size=0.1), logistic(nodes=5), rounds=4)
    assert solved.rows[-1]["work"] == pytest.approx(4.0)


def test_goals_come_before_budgets_and_a_divergence_before_both():
    rule = StopRule(rounds=5, target=1.0)
    first = record(objective=2.0)
    assert rule.verdict(record(round=5, objective=0.5), first, 0.0) is Status.TARGET
    assert rule.verdict(record(round=5, objective=1.5), first, 0.0) is Status.ROUNDS
    assert rule.verdict(record(round=5, objective=float("inf")), first, 0.0) is Status.DIVERGED
    assert rule.verdict(record(round=4, objective=1.5), first, 0.0) is None
