from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hpcopt.data import DataRequest, load
from hpcopt.data.partition import assign
from hpcopt.data.recipe import RECIPES, Recipe
from hpcopt.data.synthesis import generate
from hpcopt.errors import InputError
from hpcopt.fabric.solo import SoloGroup
from hpcopt.problems.targets import Targets
from tests.fake_group import FakeCluster, on_processes

HETEROGENEOUS = RECIPES["heterogeneous-least-squares"]
WITH_W = [source for source in RECIPES if source != "blobs"]  # the true vector, which may differ from node to node
NODES = 16  # of 80 rows each, for 64 features: a node's w can be solved for


def generated(nodes=1, **recipe):
    return generate(Recipe(**recipe), SoloGroup(), nodes).table


def from_source(source, nodes=1, **keys):
    return generate(replace(RECIPES[source], **keys), SoloGroup(), nodes).table


@pytest.mark.parametrize("source", RECIPES)
@pytest.mark.parametrize("density", [1.0, 0.2])
@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("rows", [7, 5000])
@pytest.mark.parametrize("heterogeneity", [0.0, 0.7])
def test_rows_are_the_same_for_any_number_of_processes(source, density, processes, rows, heterogeneity):
    heterogeneity *= source in WITH_W
    recipe = replace(RECIPES[source], rows=rows, features=6, density=density, heterogeneity=heterogeneity)
    whole = generate(recipe, SoloGroup(), 6)
    parts = on_processes(processes, lambda group: generate(recipe, group, 6))
    assert_array_equal(np.concatenate([part.rows for part in parts]), np.arange(rows))
    assert_array_equal(np.concatenate([part.table.y for part in parts]), whole.table.y)
    X = [part.table.X.toarray() if part.table.sparse else part.table.X for part in parts]
    assert_array_equal(np.concatenate(X), whole.table.X.toarray() if density < 1 else whole.table.X)


@pytest.mark.parametrize("processes", [2, 3])
def test_a_process_makes_only_its_share(processes):
    recipe = Recipe(targets="logistic", rows=10 * 1024, features=4)
    sizes = on_processes(processes, lambda group: generate(recipe, group).table.n)
    assert max(sizes) <= 4 * 1024 + 4 * 1024 * (processes == 2)


def test_rows_made_for_sixteen_nodes_are_shared_by_sixteen_processes():
    sizes = on_processes(NODES, lambda group: generate(HETEROGENEOUS, group, NODES).table.n)
    assert 64 <= min(sizes) <= max(sizes) <= 128


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e6])
@pytest.mark.parametrize(("rows", "features"), [(5000, 8), (40, 40), (300, 200), (50, 1)])
def test_the_hessian_of_dense_least_squares_has_exactly_the_chosen_spectrum(condition, rows, features):
    X = generated(targets="least-squares", rows=rows, features=features, condition=condition).X
    eigenvalues = np.linalg.eigvalsh(X.T @ X / rows)[::-1]
    # the products have a roundoff of 1e-16 relative to the largest eigenvalue, 1
    assert_allclose(eigenvalues, np.geomspace(1, 1 / condition, features), atol=1e-13)


def test_sparse_rows_have_the_chosen_density_and_the_second_moments_on_average():
    X = generated(targets="least-squares", rows=200_000, features=5, condition=100.0, density=0.25).X
    assert X.nnz == pytest.approx(0.25 * 200_000 * 5, rel=0.01)  # standard deviation 0.2 %
    moments = (X.T @ X).toarray() / 200_000
    # A Bernoulli times a normal: the relative standard deviation of a second moment is sqrt(11 / 200000) = 0.7 %.
    assert_allclose(np.diag(moments), np.geomspace(1, 0.01, 5), rtol=0.04)


def test_sparse_columns_increase_along_a_row():
    X = generated(targets="logistic", rows=2000, features=30, density=0.3).X
    assert X.has_canonical_format


def test_least_squares_without_noise_has_an_exact_solution_and_noise_adds_its_variance():
    exact = generated(targets="least-squares", rows=3000, features=5, noise=0.0)
    residual = np.linalg.lstsq(exact.X, exact.y)[1]
    assert residual.sum() < 1e-20
    assert np.mean(exact.y**2) == pytest.approx(1.0)  # dense moments are exact, and E[(x.w)^2] = 1
    noisy = generated(targets="least-squares", rows=3000, features=5, noise=2.0)
    # standard deviation of a variance over 3000 rows: sqrt(2/3000) = 2.6 %
    assert np.linalg.lstsq(noisy.X, noisy.y)[1].sum() / 3000 == pytest.approx(4.0, rel=0.1)


def test_logistic_labels_follow_the_logistic_model():
    signal = generated(targets="least-squares", rows=100_000, features=4, noise=0.0, seed=3)
    labels = generated(targets="logistic", rows=100_000, features=4, noise=0.5, seed=3)
    assert_array_equal(labels.X, signal.X)
    likely = 1 / (1 + np.exp(-signal.y / 0.5))
    for low in (0.1, 0.4, 0.8):
        near = (likely > low) & (likely < low + 0.1)
        # at least 5000 rows in each band: standard deviation below 0.007
        assert np.mean(labels.y[near] > 0) == pytest.approx(likely[near].mean(), abs=0.03)


@pytest.mark.parametrize("source", RECIPES)
def test_the_seed_of_a_request_is_that_of_its_rows(source):
    tables = [load(DataRequest(source=source, seed=seed), FakeCluster(SoloGroup(), 1), Targets.REAL) for seed in (3, 4)]
    first, second = (np.sort(loaded.shards[0].X, axis=None) for loaded in tables)
    assert_array_equal(first, np.sort(from_source(source, seed=3).X, axis=None))
    assert (first != second).any()


def test_another_seed_gives_other_rows():
    assert (generated(targets="logistic", seed=1).X != generated(targets="logistic", seed=2).X).all()


def minimisers(table, nodes=NODES):
    """Return each node's least-squares solution, (nodes, d): its own w if there is no noise."""
    shards = [table.between(*np.searchsorted(np.arange(table.n) * nodes // table.n, (k, k + 1))) for k in range(nodes)]
    return np.array([np.linalg.lstsq(shard.X, shard.y)[0] for shard in shards])


def test_each_node_has_a_vector_of_its_own_that_deviates_by_the_heterogeneity():
    table = from_source("heterogeneous-least-squares", NODES, noise=0.0)
    each = minimisers(table)
    deviations = from_source("heterogeneous-least-squares", NODES, noise=0.0, heterogeneity=0.0)
    common = minimisers(deviations)
    assert_allclose(common, np.tile(common[0], (NODES, 1)), atol=1e-10)
    # 1024 normals: relative standard deviation of their root mean square 1 / sqrt(2048) = 2.2 %
    assert np.sqrt(np.mean((each - common) ** 2)) == pytest.approx(0.3, rel=0.08)
    # 64 normals: 8.8 %
    assert np.sqrt(np.mean(common[0] ** 2)) == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("nodes", [1, 2, 3, 8, 40, 66, 67, 133, 199, 200])
def test_the_rows_of_a_node_are_those_of_the_contiguous_partition(nodes):
    table = from_source("heterogeneous-least-squares", nodes, rows=200, features=1, noise=0.0)
    w = table.y / table.X[:, 0]  # with one feature, so that each row determines its w
    owner = assign("contiguous", 200, nodes, 0).owner
    first = np.searchsorted(owner, np.arange(nodes))
    assert_allclose(w, w[first][owner], rtol=1e-12)
    assert len(np.unique(w[first])) == nodes


def test_without_heterogeneity_and_noise_the_nodes_share_a_minimiser_of_zero_loss():
    table = from_source("heterogeneous-least-squares", NODES, noise=0.0, heterogeneity=0.0)
    w = np.linalg.lstsq(table.X, table.y)[0]
    assert np.abs(table.X @ w - table.y).max() < 1e-12


@pytest.mark.parametrize("source", WITH_W)
@pytest.mark.parametrize("density", [1.0, 0.3])
def test_heterogeneity_and_nodes_change_neither_features_nor_errors(source, density):
    keys = {"rows": 600, "features": 5, "density": density}
    noisy, exact = ({**keys, "noise": noise, "heterogeneity": 0.5} for noise in (2.0, 0.0))
    few, many = from_source(source, 2, **noisy), from_source(source, 7, **noisy)
    plain = from_source(source, **{**noisy, "heterogeneity": 0.0})
    assert (few.X != plain.X).sum() == (many.X != plain.X).sum() == 0
    assert (few.y != many.y).any()
    if RECIPES[source].targets != "logistic":
        errors = [noisy_rows.y - from_source(source, n, **exact).y for n, noisy_rows in ((2, few), (7, many))]
        assert_allclose(errors[0], errors[1], atol=1e-12)


@pytest.mark.parametrize("density", [1.0, 0.2])
@pytest.mark.parametrize("condition", [1.0, 9.0])
def test_blobs_are_classes_of_equal_size_around_means_with_the_promised_moments(density, condition):
    table = from_source("blobs", density=density, condition=condition)
    X, y = table.X.toarray() if table.sparse else table.X, table.y
    assert_array_equal(np.bincount(y.astype(int)), np.full(10, 2048))
    assert np.mean(np.sum(X**2, axis=1)) == pytest.approx(4.0, rel=0.03)
    within = X - np.array([X[y == c].mean(axis=0) for c in range(10)])[y.astype(int)]
    between = 4.0 - np.mean(np.sum(within**2, axis=1))
    if density == 1.0:  # E||m||^2 : E||e||^2 = 1 : 4, up to the sampling error of the means' 320 entries
        assert between == pytest.approx(0.8, rel=0.25)
        assert within[:, 0].std() / within[:, -1].std() == pytest.approx(np.sqrt(condition), rel=0.03)
    else:
        assert np.mean(X != 0.0) == pytest.approx(density, rel=0.02)


def test_blobs_take_no_heterogeneity():
    with pytest.raises(InputError, match=r"^heterogeneity: blobs have no true model"):
        from_source("blobs", heterogeneity=0.1)


@pytest.mark.parametrize("source", RECIPES)
def test_without_heterogeneity_the_number_of_nodes_changes_nothing(source):
    one, many = (from_source(source, nodes, rows=200, features=5, heterogeneity=0.0) for nodes in (1, 9))
    assert_array_equal(one.X, many.X)
    assert_array_equal(one.y, many.y)


@pytest.mark.parametrize(("partition", "apart"), [(None, True), ("contiguous", True), ("shuffled", False)])
@pytest.mark.parametrize("nodes", [NODES, 11])  # 11: sizes that differ
def test_the_default_partition_gives_each_node_the_rows_that_were_made_for_it(partition, apart, nodes):
    request = DataRequest(source="heterogeneous-least-squares", noise=0.0, partition=partition)
    shards = load(request, FakeCluster(SoloGroup(), nodes), Targets.REAL).shards
    misfits = np.array([np.linalg.lstsq(shard.X, shard.y)[1].item() / shard.n for shard in shards.values()])
    assert (misfits < 1e-20).all() if apart else (misfits > 1e-3).all()


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"path": "a"}, "shuffled"),
        ({"source": "digits"}, "shuffled"),
        ({"source": "logistic"}, "shuffled"),
        ({"source": "logistic", "heterogeneity": 0.5}, "contiguous"),
        ({"source": "heterogeneous-least-squares"}, "contiguous"),
        ({"source": "heterogeneous-least-squares", "heterogeneity": 0.0}, "contiguous"),
        ({"source": "heterogeneous-least-squares", "partition": "shuffled"}, "shuffled"),
    ],
)
def test_rows_made_to_differ_from_node_to_node_stay_in_order_by_default(keys, rule):
    assert DataRequest(**keys).rule == rule


def test_a_test_set_that_would_shift_rows_to_other_nodes_is_refused():
    keys = {"source": "heterogeneous-least-squares", "test_fraction": 0.2}
    with pytest.raises(InputError, match=r"^test_fraction: a test set would move rows to other nodes"):
        DataRequest(**keys)
    assert DataRequest(**keys, heterogeneity=0.0).rule == "contiguous"
    assert DataRequest(**keys, partition="shuffled").rule == "shuffled"


def test_heterogeneous_rows_have_the_chosen_variances():
    X = from_source("heterogeneous-least-squares", rows=100_000, features=6).X
    # relative standard deviation of a variance over 100,000 rows: 0.45 %
    assert_allclose(X.var(axis=0), np.geomspace(1, 0.2, 6), rtol=0.02)
    assert_allclose(np.corrcoef(X.T), np.eye(6), atol=0.02)


def test_the_regressions_have_white_rows_and_coefficients_around_the_authors_mean():
    table = from_source("linear-regression", noise=0.0)
    w = np.linalg.lstsq(table.X, table.y)[0] * np.sqrt(100.0)
    assert table.X.shape == (2000, 200)
    assert table.X.var() == pytest.approx(1.0, rel=0.01)  # 400,000 normals: 0.22 %
    # 200 normals of variance 1: 0.07 of their mean, 5 % of their deviation
    assert w.mean() == pytest.approx(1.0, abs=0.25)
    assert w.std() == pytest.approx(1.0, rel=0.2)


def test_rectified_targets_are_the_positive_parts_of_the_linear_ones():
    linear, rectified = (from_source(f"{kind}-regression", noise=0.0) for kind in ("linear", "relu"))
    assert_array_equal(rectified.X, linear.X)
    assert_array_equal(rectified.y, np.maximum(linear.y, 0.0))
    assert 0.3 < np.mean(rectified.y == 0.0) < 0.7
    noise = from_source("relu-regression").y - rectified.y
    assert noise.std() == pytest.approx(0.05, rel=0.08)  # 2000 normals: 1.6 %


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("rows", 0, "an integer >= 1"),
        ("features", 0, "an integer >= 1"),
        ("density", 0.0, "a number > 0 and <= 1"),
        ("density", 1.5, "a number > 0 and <= 1"),
        ("condition", 0.5, "a number >= 1"),
        ("condition", float("inf"), "a finite number"),
        ("noise", -1.0, "a number >= 0"),
        ("noise", float("nan"), "a finite number"),
        ("heterogeneity", -0.1, "a number >= 0"),
        ("heterogeneity", float("inf"), "a finite number"),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_key(key, value, right):
    with pytest.raises(InputError, match=f"^{key}: expected {right}, got {value}"):
        Recipe(targets="logistic", **{key: value})
