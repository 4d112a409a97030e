from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from hpcopt.data.synthesis import Recipe, generate
from hpcopt.errors import InputError
from hpcopt.fabric.solo import SoloGroup
from tests.fake_group import on_processes


def generated(**recipe):
    return generate(Recipe(**recipe), SoloGroup()).table


@pytest.mark.parametrize("targets", ["logistic", "least-squares"])
@pytest.mark.parametrize("density", [1.0, 0.2])
@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("rows", [7, 5000])
def test_rows_are_the_same_for_any_number_of_processes(targets, density, processes, rows):
    recipe = Recipe(targets=targets, rows=rows, features=6, density=density)
    whole = generate(recipe, SoloGroup())
    parts = on_processes(processes, lambda group: generate(recipe, group))
    assert_array_equal(np.concatenate([part.rows for part in parts]), np.arange(rows))
    assert_array_equal(np.concatenate([part.table.y for part in parts]), whole.table.y)
    X = [part.table.X.toarray() if part.table.sparse else part.table.X for part in parts]
    assert_array_equal(np.concatenate(X), whole.table.X.toarray() if density < 1 else whole.table.X)


@pytest.mark.parametrize("processes", [2, 3])
def test_a_process_makes_only_its_share(processes):
    recipe = Recipe(targets="logistic", rows=10 * 1024, features=4)
    sizes = on_processes(processes, lambda group: generate(recipe, group).table.n)
    assert max(sizes) <= 4 * 1024 + 4 * 1024 * (processes == 2)


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e6])
@pytest.mark.parametrize(("rows", "features"), [(5000, 8), (40, 40), (300, 200), (50, 1)])
def test_the_hessian_of_dense_least_squares_has_exactly_the_chosen_spectrum(condition, rows, features):
    X = generated(targets="least-squares", rows=rows, features=features, condition=condition).X
    eigenvalues = np.linalg.eigvalsh(X.T @ X / rows)[::-1]
    # the products round at 1e-16 of the largest eigenvalue, 1
    assert_allclose(eigenvalues, np.geomspace(1, 1 / condition, features), atol=1e-13)


def test_sparse_rows_have_the_chosen_density_and_the_second_moments_on_average():
    X = generated(targets="least-squares", rows=200_000, features=5, condition=100.0, density=0.25).X
    assert X.nnz == pytest.approx(0.25 * 200_000 * 5, rel=0.01)  # standard deviation 0.2 %
    moments = (X.T @ X).toarray() / 200_000
    # A coin and a normal: the relative standard deviation of a second moment is sqrt(11 / 200000) = 0.7 %.
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


def test_another_seed_gives_other_rows():
    assert (generated(targets="logistic", seed=1).X != generated(targets="logistic", seed=2).X).all()


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("rows", 0, "at least 1"),
        ("features", 0, "at least 1"),
        ("density", 0.0, "above 0 and at most 1"),
        ("density", 1.5, "above 0 and at most 1"),
        ("condition", 0.5, "at least 1"),
        ("condition", float("inf"), "at least 1"),
        ("noise", -1.0, "at least 0"),
        ("noise", float("nan"), "at least 0"),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_key(key, value, right):
    with pytest.raises(InputError, match=f"data.{key}: {right}, got {value}"):
        Recipe(targets="logistic", **{key: value})
