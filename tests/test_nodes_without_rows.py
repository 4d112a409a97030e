"""Nodes that hold no rows: their oracle is zero, and what is recorded is what the holders alone would record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcopt.errors import AgreedError
from hpcopt.fabric.conditions import PLAIN
from hpcopt.fabric.meter import Meter
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.runs.prepare import prepare
from hpcopt.spec.specification import specification_from
from tests.holding import DENSE, NETWORK, PROBLEMS, SGD, SPARSE, apart, assert_same, driven
from tests.launch import python_ranks, requires_mpi

ROOT = Path(__file__).resolve().parents[1]
EVERY_PROBLEM = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
SOFTMAX = {**NETWORK, "problem": {"loss": "softmax", "l2": 0.1, "intercept": True}}
SOLVERS = [{"name": "sgd", "step_size": "0.5/L"}, {"name": "newton-cg"}, {"name": "giant"}, {"name": "lbfgs"}]
SOLVERS += [{"name": "prox-lbfgs"}] + [{"name": name, "batch": 0} for name in ("adagrad-cmd", "prox-svrg")]


def oracles(problem):
    """Return the oracle on a shard and on one without rows."""
    spec = specification_from({**problem, "solver": SGD})
    made = prepare(spec, VirtualCluster(2, holders=[1]), PLAIN)
    assert made.shards[0].matrix.n == 0
    return [made.problem.on(made.shards[node], Meter()) for node in (1, 0)]


@pytest.mark.parametrize("problem", [DENSE, SPARSE, NETWORK, SOFTMAX], ids=["dense", "sparse", "network", "softmax"])
def test_the_oracle_of_a_shard_without_rows_is_zero(problem):
    f, none = oracles(problem)
    w = np.random.default_rng(0).standard_normal(f.d)
    assert f.at(w).value > 0.0
    assert (none.share, none.n, none.d) == (0.0, 0, f.d)
    assert none.at(w).value == 0.0
    zero = np.zeros(f.d)
    np.testing.assert_array_equal(none.at(w).gradient, zero)
    np.testing.assert_array_equal(none.values(np.array([w, 2 * w])), [0.0, 0.0])
    rows = np.zeros(0, dtype=np.int64)
    np.testing.assert_array_equal(none.at(w).loss_gradient, zero)
    np.testing.assert_array_equal(none.gradient_of_rows(w, rows), zero)
    np.testing.assert_array_equal(none.gradient_of_rows(w, rows, loss_only=True), zero)
    np.testing.assert_array_equal(none.sgd(w, rows, 1, np.zeros(0)), w)
    assert none.piece >= 1
    assert none.penalty == f.penalty
    if problem is not NETWORK:
        assert none.smoothness() == none.row_smoothness() == 0.0


@pytest.mark.parametrize("w", [np.nan, np.inf, 1e308])
@EVERY_PROBLEM
def test_no_model_makes_it_other_than_zero(problem, w):
    _, none = oracles(problem)
    here = none.at(np.full(none.d, w))
    assert here.value == 0.0
    assert not here.gradient.any()


@pytest.mark.parametrize("problem", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_so_are_its_second_derivatives(problem):
    f, none = oracles(problem)
    w = np.random.default_rng(0).standard_normal(f.d)
    here = none.at(w)
    assert not here.hessian_product(w).any()
    assert not here.along(w).values(np.ones(3)).any()
    assert not here.hessian().any()
    assert np.isfinite(here.newton_direction(w)).all()


@EVERY_PROBLEM
@pytest.mark.parametrize("holders", [[2, 3, 4, 5, 6], [0, 1, 3, 4, 6]])
def test_records_are_those_of_the_holders_alone(problem, holders):
    some, models = driven(VirtualCluster(7, holders=holders), problem, **SGD)
    alone, others = driven(VirtualCluster(5), problem, **SGD)
    assert_same(some, alone)
    assert some[-1].objective < some[0].objective
    for w in models:
        np.testing.assert_allclose(w, others[0], rtol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=[solver["name"] for solver in SOLVERS])
def test_solvers_and_step_sizes_know_nothing_of_them(solver):
    some, _ = driven(VirtualCluster(7, holders=[0, 2, 3, 5, 6]), DENSE, **solver)
    alone, _ = driven(VirtualCluster(5), DENSE, **solver)
    assert_same(some, alone)


@EVERY_PROBLEM
def test_where_nodes_have_models_of_their_own_only_those_of_holders_count(problem):
    record, mean = apart(VirtualCluster(7, holders=[0, 1, 3, 4, 6]), problem)
    other, same = apart(VirtualCluster(5), problem)
    assert_same([record], [other])
    np.testing.assert_allclose(mean, same, rtol=1e-13)
    assert record.consensus > 0.0


def test_rows_are_counted_per_holder():
    few = {"data": {"source": "logistic", "rows": 3, "features": 2}}
    spec = specification_from({**few, "solver": SGD})
    assert prepare(spec, VirtualCluster(5, holders=[1, 2, 4]), PLAIN).problem.total == 3
    with pytest.raises(AgreedError, match="4 nodes but 3 rows"):
        prepare(spec, VirtualCluster(5, holders=[0, 1, 2, 4]), PLAIN)


@pytest.mark.parametrize("holders", [[], [1, 0], [0, 0], [3], [-1, 0]])
def test_holders_that_are_no_ranks_in_order_are_refused(holders):
    with pytest.raises(ValueError, match="holders: expected ranks of the 3 nodes, ascending"):
        VirtualCluster(3, holders=holders)


def test_virtual_nodes_and_a_single_process_share_a_host():
    assert VirtualCluster(3).hosts() == (0, 0, 0)
    assert SoloCluster().hosts() == (0,)
    assert list(SoloCluster().holders) == [0]


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize(("ranks", "holders"), [(1, "0"), (3, "1,2")])
def test_real_ranks_record_what_virtual_holders_alone_do(ranks, holders):
    program = ROOT / "tests" / "ranks" / "holders.py"
    done = python_ranks(ranks, program, holders, env={"PYTHONPATH": str(ROOT)}, timeout=100)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == ranks
