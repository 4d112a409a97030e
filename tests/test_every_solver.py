"""What every registered solver must do; a new one is tested the moment it exists."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.compression import COMPRESSORS
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.results.stopping import Status
from hpcopt.solvers import SOLVERS
from hpcopt.topology import TOPOLOGIES
from tests.problems import PROBLEMS, equal, logistic, solve

EVERY = pytest.mark.parametrize("name", list(SOLVERS))
IN_STEP = [name for name in SOLVERS if not SOLVERS[name].asynchronous]
"""Solvers in which the time that work takes, and who comes first, changes no iterate."""
MINIMISERS = [name for name in SOLVERS if SOLVERS[name].minimises]
REACH = pytest.mark.parametrize("name", [name for name in MINIMISERS if SOLVERS[name].floor is None])
FLOORED = pytest.mark.parametrize("name", [name for name in MINIMISERS if SOLVERS[name].floor is not None])
PROBLEM = pytest.mark.parametrize("problem", list(PROBLEMS))


@REACH
@PROBLEM
def test_a_solver_without_a_floor_reaches_the_optimum(name, problem):
    spread = PROBLEMS[problem]()
    w, best = spread.optimum()
    solved = solve(SOLVERS[name](), spread, rounds=2000, gradient_norm=1e-9)
    assert solved.outcome.status is Status.GRADIENT
    assert solved.outcome.row["objective"] == pytest.approx(best, rel=1e-12)
    np.testing.assert_allclose(solved.w, w, atol=1e-7)


@FLOORED
@PROBLEM
def test_a_solver_with_a_floor_comes_near_the_optimum(name, problem):
    spread = PROBLEMS[problem](n=400)
    _, best = spread.optimum()
    solved = solve(SOLVERS[name](), spread, rounds=300)
    first, last = solved.rows[0]["objective"], solved.rows[-1]["objective"]
    assert last - best < 0.05 * (first - best)
    assert last >= best * (1 - 1e-12)


@EVERY
@PROBLEM
def test_every_row_of_the_trace_is_the_objective_at_its_model(name, problem):
    spread = PROBLEMS[problem]()
    serial = spread.serial()
    solved = solve(SOLVERS[name](), spread, rounds=12)
    here = serial.at(solved.w)
    assert solved.outcome.row["objective"] == pytest.approx(here.value, rel=1e-12)
    assert solved.outcome.row["grad_norm"] == pytest.approx(np.linalg.norm(here.gradient), rel=1e-6, abs=1e-12)


@EVERY
def test_all_nodes_end_with_the_same_model(name):
    solved = solve(SOLVERS[name](), logistic(nodes=5), rounds=9)
    for outcome in solved.outcomes:
        np.testing.assert_array_equal(outcome.w, solved.w)


@EVERY
@PROBLEM
def test_on_one_node_it_equals_its_form_without_any_cluster(name, problem):
    spread = PROBLEMS[problem](nodes=1)
    alone = solve(SOLVERS[name](), spread, cluster=SoloCluster(), rounds=9)
    virtual = solve(SOLVERS[name](), spread, rounds=9)
    np.testing.assert_array_equal(alone.w, virtual.w)
    assert alone.rows[-1]["bytes"] == virtual.rows[-1]["bytes"] == 0


@pytest.mark.parametrize("name", [name for name in SOLVERS if not SOLVERS[name].decentralised])
@pytest.mark.parametrize("nodes", [1, 2, 3, 7])
def test_the_ledger_shows_exactly_the_doubles_that_the_solver_declares(name, nodes):
    spread = logistic(nodes=nodes)
    solver = SOLVERS[name]()
    solved = solve(solver, spread, rounds=13)
    declared = 8 * solver.doubles(solved.outcome.state, spread.d)
    assert solved.rows[-1]["bytes"] == 2 * (nodes - 1) * declared
    assert solved.rows[-1]["messages"] == 2 * (nodes - 1) * solved.rows[-1]["round"]


@pytest.mark.parametrize("name", [name for name in IN_STEP if SOLVERS[name].decentralised])
@pytest.mark.parametrize(("nodes", "arcs"), [(1, 0), (2, 2), (3, 6), (7, 14)])
def test_the_ledger_shows_exactly_the_bytes_that_a_decentralised_solver_declares(name, nodes, arcs):
    spread = logistic(nodes=nodes)
    solver = SOLVERS[name]()
    solved = solve(solver, spread, rounds=13)
    state = solved.outcome.state
    reduced, exchanged = 8 * solver.doubles(state, spread.d), solver.exchanged(state, spread.d)
    assert solved.rows[-1]["bytes"] == 2 * (nodes - 1) * reduced + arcs * exchanged
    assert solved.rows[-1]["edge_bytes"] == (exchanged if arcs else 0)


@EVERY
def test_inputs_are_left_alone(name):
    spread = logistic()
    X, y, start = spread.X.copy(), spread.y.copy(), np.full(spread.d, 0.3)
    solve(SOLVERS[name](), spread, start=start, rounds=6)
    np.testing.assert_array_equal(spread.X, X)
    np.testing.assert_array_equal(spread.y, y)
    np.testing.assert_array_equal(start, np.full(spread.d, 0.3))


@pytest.mark.parametrize("name", IN_STEP)
@PROBLEM
def test_dense_equals_sparse(name, problem):
    spread = PROBLEMS[problem]()
    dense = solve(SOLVERS[name](), spread, rounds=9)
    sparse = solve(SOLVERS[name](), spread.sparse(), rounds=9)
    np.testing.assert_allclose(sparse.w, dense.w, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", MINIMISERS)
@pytest.mark.parametrize("sizes", [(1, 119), (60, 1, 59), (117, 1, 1, 1)])
def test_uneven_and_tiny_shards_are_survived(name, sizes):
    spread = logistic().over(*sizes)
    solved = solve(SOLVERS[name](), spread, rounds=12)
    assert np.isfinite(solved.w).all()
    assert solved.rows[-1]["objective"] < solved.rows[0]["objective"]


@EVERY
def test_same_seed_same_trace(name):
    one, two = (solve(SOLVERS[name](), logistic(), rounds=9, seed=3) for _ in range(2))
    assert one.rows == two.rows
    np.testing.assert_array_equal(one.w, two.w)


@pytest.mark.parametrize("name", [name for name in SOLVERS if SOLVERS[name].randomised])
def test_another_seed_gives_another_run_of_a_randomised_solver(name):
    dithered = {"compressor": COMPRESSORS["qsgd"](), "gamma": 0.5}
    parameters = {"batch": 3} if hasattr(SOLVERS[name], "batch") else dithered
    one, two = (solve(SOLVERS[name](**parameters), logistic(), rounds=9, seed=seed) for seed in (1, 2))
    assert not np.array_equal(one.w, two.w)


@EVERY
def test_measuring_changes_neither_iterates_nor_bytes_nor_time(name):
    recorded = solve(SOLVERS[name](), logistic(), rounds=9, record_every=1)
    silent = solve(SOLVERS[name](), logistic(), rounds=9, record_every=0)
    assert len(silent.rows) == 2
    assert silent.rows[-1] == recorded.rows[-1]
    np.testing.assert_array_equal(silent.w, recorded.w)


@pytest.mark.parametrize("name", [name for name in IN_STEP if name != "local-sgd"])  # whose streams go with ranks
def test_a_permutation_of_the_nodes_changes_no_deterministic_iterate_beyond_roundoff(name):
    parameters = {"batch": 0} if hasattr(SOLVERS[name], "batch") else {}
    parameters |= {"scatter": 0.0} if hasattr(SOLVERS[name], "scatter") else {}
    spread = logistic()
    order = [2, 0, 3, 1]
    size = len(spread.y) // 4
    rows = np.concatenate([np.arange(k * size, (k + 1) * size) for k in order])
    moved = type(spread)(spread.loss, spread.X[rows], spread.y[rows], spread.l2, equal(len(rows), 4))
    everyone = TOPOLOGIES["complete"]()  # where all nodes have the same place
    here, there = (
        solve(SOLVERS[name](**parameters), problem, rounds=9, topology=everyone) for problem in (spread, moved)
    )
    np.testing.assert_allclose(there.w, here.w, rtol=1e-9, atol=1e-11)


@EVERY
def test_a_solver_names_its_paper_and_sums_itself_up_in_a_line(name):
    assert SOLVERS[name].paper
    assert len(SOLVERS[name].__doc__.splitlines()[0]) < 120
