"""The claims of the LocalNewton paper (Algorithms 1 and 2), and the options beyond it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hpcopt.conformance.problems import Spread, equal, logistic, ridge
from hpcopt.conformance.solving import solve
from hpcopt.errors import InputError
from hpcopt.fabric.network import Network
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.solvers import SOLVERS
from hpcopt.solvers.parts.line_search import ROUNDOFF, Armijo

LocalNewton, Giant = SOLVERS["local-newton"], SOLVERS["giant"]


def damped_newton(f, w, steps, search=None):
    """A direct implementation of Newton with Armijo backtracking: slope 0.1, halving."""
    for _ in range(steps):
        here = f.at(w)
        p = np.linalg.solve(here.hessian(), here.gradient)
        a = 1.0
        while f.at(w - a * p).value > here.value - 0.1 * a * float(p @ here.gradient) + ROUNDOFF * abs(here.value):
            a /= 2
        w = w - a * p
    return w


def minimiser(f):
    return damped_newton(f, np.zeros(f.d), 30)


def copies(spread: Spread, times: int) -> Spread:
    """Every node has the same rows."""
    X, y = np.tile(spread.X, (times, 1)), np.tile(spread.y, times)
    return Spread(spread.loss, X, y, spread.l2, equal(len(y), times))


@pytest.mark.parametrize("local_steps", [1, 2, 5])
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_on_one_node_the_iterates_are_damped_newtons(local_steps, start):  # T1
    spread = logistic(nodes=1)
    w0 = np.full(spread.d, start)
    solved = solve(LocalNewton(local_steps=local_steps), spread, start=w0, rounds=2)
    np.testing.assert_allclose(solved.w, damped_newton(spread.serial(), w0, 2 * local_steps), rtol=1e-10)


def test_on_one_node_a_quadratic_takes_one_step():  # T1
    spread = ridge(nodes=1)
    solved = solve(LocalNewton(local_steps=1), spread, rounds=1)
    np.testing.assert_allclose(solved.w, spread.optimum()[0], rtol=1e-10)


@pytest.mark.parametrize("local_steps", [1, 2, 5])
@pytest.mark.parametrize("start", [0.0, 10.0])
@pytest.mark.parametrize("rounds", [1, 3])
def test_a_round_on_a_quadratic_lands_on_the_mean_of_the_local_minimisers_and_stays(local_steps, start, rounds):  # T2
    spread = ridge()
    mean = np.mean([minimiser(f) for f in spread.objectives()], axis=0)
    solved = solve(LocalNewton(local_steps=local_steps), spread, start=np.full(spread.d, start), rounds=rounds)
    np.testing.assert_allclose(solved.w, mean, rtol=1e-9, atol=1e-12)


def test_that_mean_is_not_the_optimum_and_giant_started_there_removes_the_floor():  # T2
    spread = ridge(n=60)
    w, best = spread.optimum()
    floor = solve(LocalNewton(), spread, rounds=5)
    assert floor.outcome.record.objective > best * (1 + 1e-6)
    ended = solve(Giant(), spread, start=floor.w, rounds=300)
    np.testing.assert_allclose(ended.w, w, rtol=1e-6)  # the search resolves w to the root of f's roundoff
    assert ended.outcome.record.objective == pytest.approx(best, rel=1e-13)


@pytest.mark.parametrize("name", ["local-newton", "giant"])
def test_on_identical_shards_it_is_newton_on_the_whole(name):  # T3
    spread = copies(logistic(n=60, nodes=1), 4)
    solver = LocalNewton(local_steps=3) if name == "local-newton" else Giant()
    solved = solve(solver, spread, rounds=2 if name == "local-newton" else 18)
    expected = damped_newton(spread.serial(), np.zeros(spread.d), 6)
    np.testing.assert_allclose(solved.w, expected, rtol=1e-9)


@pytest.mark.parametrize("start", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("shard", range(4))
def test_each_local_step_satisfies_armijo_with_the_largest_trial_that_does(start, shard):  # T4
    f = logistic().objectives()[shard]
    search = Armijo()
    w = np.full(f.d, start)
    for _ in range(4):
        here = f.at(w)
        p = here.newton_direction()
        step = search.local(here, p)
        values = {a: f.at(w - a * p).value for a in search.steps[search.steps >= step]}
        demand = 0.1 * float(p @ here.gradient)
        accepted = [a for a, value in values.items() if value <= here.value - a * demand + 1e-14]
        assert step == max(accepted)
        w = w - step * p


def test_no_step_is_taken_where_no_trial_decreases_the_loss():  # A9
    f = logistic().objectives()[0]
    here = f.at(np.zeros(f.d))
    assert Armijo().local(here, -here.gradient) == 0.0


def test_local_newton_with_one_step_and_giant_coincide_where_the_shards_gradients_agree():  # T5
    spread = copies(ridge(n=40, nodes=1), 3)
    one = solve(LocalNewton(local_steps=1), spread, rounds=1)
    giant = solve(Giant(), spread, rounds=3)
    np.testing.assert_allclose(one.w, giant.w, rtol=1e-10)


def test_the_floor_falls_as_the_shards_grow():  # T6, Theorem 4.4
    def above(n):
        spread = logistic(n=n, nodes=8, seed=5)
        return solve(LocalNewton(), spread, rounds=8).rows[-1]["objective"] - spread.optimum()[1]

    floors = [above(n) for n in (160, 640, 2560)]
    assert floors[0] > 2 * floors[1] > 4 * floors[2]


@pytest.mark.parametrize("local_steps", [1, 2, 5])
@pytest.mark.parametrize("nodes", [2, 5])
def test_a_round_is_one_mean_of_d_doubles_and_no_line_search_traffic(local_steps, nodes):  # T7
    spread = logistic(nodes=nodes)
    solved = solve(LocalNewton(local_steps=local_steps), spread, rounds=4)
    for before, after in itertools.pairwise(solved.rows):
        assert after["round"] - before["round"] == 1
        assert after["bytes"] - before["bytes"] == 2 * (nodes - 1) * 8 * spread.d


@pytest.mark.parametrize("carried", [False, True])
def test_the_adaptive_schedule_lowers_l_to_giant_and_reaches_the_optimum(carried):  # T8
    spread = logistic(n=200, nodes=4)
    best = spread.optimum()[1]
    fixed = solve(LocalNewton(), spread, rounds=60).rows[-1]["objective"]
    solved = solve(LocalNewton(schedule="adaptive", carried=carried), spread, rounds=150)
    assert solved.outcome.state.local_steps == 0
    assert solved.outcome.state.giants > 0
    assert solved.rows[-1]["objective"] == pytest.approx(best, rel=1e-10)
    assert fixed > best * (1 + 1e-7)


def test_the_delta_rule_lowers_l_by_one_whenever_a_round_lowers_f_too_little():  # Algorithm 2
    spread = logistic(n=200, nodes=4, seed=1)
    solver = LocalNewton(schedule="adaptive", delta=0.05)
    solved = solve(solver, spread, rounds=40)
    means = [row for row in solved.rows if row["iteration"] <= solved.outcome.state.means]
    local_steps = 3
    for before, after in itertools.pairwise(means):
        if before["objective"] - after["objective"] < 0.05:
            local_steps -= 1
    assert local_steps == 0


def test_the_delta_rule_costs_one_scalar_round_for_each_mean_and_one_at_the_start():
    spread = logistic(n=200, nodes=4)
    solved = solve(LocalNewton(schedule="adaptive", delta=0.0), spread, rounds=9)
    state = solved.outcome.state
    assert state.checks == state.means + 1
    assert solved.rows[-1]["round"] == state.means + state.checks + 3 * state.giants


def test_a_carried_value_costs_one_double_and_no_round():
    spread = logistic(nodes=4)
    solved = solve(LocalNewton(schedule="adaptive", carried=True), spread, rounds=1)
    assert solved.rows[-1]["round"] == 1
    assert solved.rows[-1]["bytes"] == 2 * 3 * 8 * (spread.d + 1)


def test_the_papers_schedule_takes_three_two_one_local_steps_then_giant():
    spread = logistic()
    solved = solve(LocalNewton(schedule="paper"), spread, rounds=9)
    assert [row["round"] for row in solved.rows] == [0, 1, 2, 3, 6, 9]
    assert (solved.outcome.state.means, solved.outcome.state.giants) == (3, 2)


def test_a_round_lasts_as_long_as_the_slowest_node():
    spread = logistic(nodes=3)
    network = Network(latency=2.0, bandwidth=1e12, collective="star")
    clusters = VirtualCluster(3, network), VirtualCluster(3, network, speeds=[1.0, 1e-6, 1.0])
    even, slow = (solve(LocalNewton(), spread, cluster=cluster, rounds=1).rows[-1]["seconds"] for cluster in clusters)
    assert 4.0 < even < 4.1
    assert slow > 4.1


@pytest.mark.parametrize("sizes", [(10, 110), (5, 5, 110)])
def test_weights_by_rows_help_shards_of_unequal_size(sizes):
    spread = ridge().over(*sizes)
    best = spread.optimum()[1]
    equal_weights, by_rows = (
        solve(LocalNewton(weights=weights), spread, rounds=3).rows[-1]["objective"] - best
        for weights in ("equal", "rows")
    )
    assert by_rows < equal_weights


def test_a_global_line_search_never_raises_the_objective():
    spread = logistic(n=40, nodes=4, l2=1e-3, seed=3)
    solved = solve(LocalNewton(global_line_search=True, local_steps=3), spread, start=np.full(6, 3.0), rounds=30)
    objectives = [row["objective"] for row in solved.rows]
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(objectives))


@pytest.mark.parametrize("problem", [ridge, logistic])
def test_preconditioned_mixing_with_one_local_step_is_newton_on_the_whole(problem):  # FedPM
    spread = problem(l2=0.1)
    solved = solve(LocalNewton(local_steps=1, mixing="preconditioned", weights="rows"), spread, rounds=4)
    np.testing.assert_allclose(solved.w, damped_newton(spread.serial(), np.zeros(spread.d), 4), rtol=1e-8)


def test_preconditioned_mixing_survives_a_singular_sum_of_hessians():
    spread = ridge(n=8, d=12, nodes=4, l2=0.0)
    solved = solve(LocalNewton(mixing="preconditioned"), spread, rounds=3)
    assert solved.rows[-1]["objective"] < 0.5 * solved.rows[0]["objective"]


def test_the_debiased_regulariser_turns_the_averaged_direction_towards_newtons():  # Derezinski et al. 2020
    def angle(regulariser, seed):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((2000, 10)) * np.logspace(0.5, -1.0, 10)
        spread = Spread("squared", X, X @ np.ones(10) + rng.standard_normal(2000), 0.3, equal(2000, 100))
        solver = LocalNewton(regulariser=regulariser)
        whole = spread.serial().at(np.zeros(10))
        local = [f.at(np.zeros(10)) for f in spread.objectives()]
        mean = np.mean([here.newton_direction(whole.gradient, solver._ridge(here)) for here in local], axis=0)
        exact = whole.newton_direction()
        return np.arccos(mean @ exact / np.linalg.norm(mean) / np.linalg.norm(exact))

    for seed in range(5):
        assert angle("debiased", seed) < 0.85 * angle("plain", seed)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"local_steps": 0}, "local_steps: at least 1, got 0"),
        ({"schedule": "paper", "local_steps": 2}, "local_steps: schedule = .paper. fixes it to 3, 2, 1"),
        ({"delta": 0.3}, "delta: only used with schedule = .adaptive."),
        ({"carried": True}, "carried: only used with schedule = .adaptive."),
        ({"schedule": "fast"}, "schedule: one of constant, paper, adaptive; got 'fast'"),
        ({"delta": -1.0}, "delta: at least 0, got -1.0"),
        ({"mixing": "max"}, "mixing: one of mean, preconditioned; got 'max'"),
        ({"weights": "half"}, "weights: one of equal, rows; got 'half'"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        LocalNewton(**parameters)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_armijos_slope_is_between_zero_and_a_half(slope):  # T2: at 1/2, equality holds for a quadratic
    with pytest.raises(InputError, match=r"slope: between 0 and 0\.5"):
        Armijo(slope=slope)
