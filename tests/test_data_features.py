from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, random_array
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from hpcopt.data.features import fit_scaling, split
from hpcopt.data.table import Part, Table, contiguous
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.solo import SoloGroup
from hpcopt.models.trained import unscaled
from tests.fake_group import messages_on_processes, on_processes

RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((40, 6)) * np.geomspace(1, 1e6, 6) + 3.0
DENSE[:, 2] = 0.1  # a constant without an exact binary representation
DENSE[:, 4] = 0.0
SPARSE = csr_array(random_array((40, 6), density=0.3, random_state=1, format="csr") * -3.0)


def part_of(X, group):
    start, stop = contiguous(X.shape[0], group.rank, group.size)
    return Part(Table(X[start:stop], np.zeros(stop - start)), np.arange(start, stop), X.shape[0])


def scaled(kind, X, processes):
    def work(group):
        part = part_of(X, group)
        table = fit_scaling(kind, part, group, "data").apply(part.table, "data").X
        return table.toarray() if part.table.sparse else table

    return np.concatenate(on_processes(processes, work))


@pytest.mark.parametrize("processes", [1, 3, 50])
def test_standard_scaling_is_scikit_learns(processes):
    assert_allclose(scaled("standard", DENSE, processes), StandardScaler().fit_transform(DENSE), atol=1e-12)


@pytest.mark.parametrize("processes", [1, 3, 50])
@pytest.mark.parametrize("X", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_max_abs_scaling_is_scikit_learns(processes, X):
    theirs = MaxAbsScaler().fit_transform(X)
    # differs by one rounding: scikit-learn multiplies sparse entries by the reciprocal
    assert_allclose(scaled("max-abs", X, processes), theirs if X is DENSE else theirs.toarray(), rtol=1e-15)


@pytest.mark.parametrize("processes", [1, 3, 50])
@pytest.mark.parametrize("X", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_one_number_scales_all_features_to_a_largest_magnitude_of_one(processes, X):
    rows = X if X is DENSE else X.toarray()
    assert_array_equal(scaled("global-max-abs", X, processes), rows / np.abs(rows).max())


@pytest.mark.parametrize("kind", ["max-abs", "global-max-abs"])
def test_features_of_zeros_alone_stay_as_they_are(kind):
    assert_array_equal(scaled(kind, np.zeros((4, 3)), 1), np.zeros((4, 3)))


def test_a_model_of_features_scaled_by_one_number_speaks_of_the_original_ones():
    scaling = fit_scaling("global-max-abs", part_of(DENSE, SoloGroup()), SoloGroup(), "data")
    w = RNG.standard_normal(6)
    coef, intercept = unscaled(w, 0.3, scaling.shift, scaling.scale)
    assert_allclose(DENSE @ coef + intercept, DENSE / np.abs(DENSE).max() @ w + 0.3, rtol=1e-12)


@pytest.mark.parametrize("X", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_scaling_leaves_its_input_alone_and_keeps_the_storage_type(X):
    part = part_of(X.astype(np.float32), SoloGroup())
    before = part.table.X.copy()
    after = fit_scaling("max-abs", part, SoloGroup(), "data").apply(part.table, "data")
    assert after.X.dtype == np.float32
    assert (before != part.table.X).sum() == 0


def test_standard_scaling_of_sparse_rows_is_refused_with_advice():
    with pytest.raises(AgreedError, match=r'data.scale: "standard" would make sparse rows dense; use "max-abs"'):
        fit_scaling("standard", part_of(SPARSE, SoloGroup()), SoloGroup(), "data")


def column_two(X, value):
    X = X.toarray() if X is SPARSE else X.copy()
    X[:, 2] = value
    return X


LARGE = np.where(np.arange(40) % 2, 1e200, -1e200)
TOO_LARGE = "data: column 2 (counted from 0): its values are so large that their variance overflows; give the feature"
TOO_SMALL = "data: column 2 (counted from 0): its largest absolute value is so small that the scaling overflows; give"


@pytest.mark.parametrize(
    ("kind", "X", "message"),
    [
        ("standard", column_two(DENSE, LARGE), TOO_LARGE),
        ("standard", column_two(DENSE, 1e308), TOO_LARGE),  # the sum overflows
        ("standard", column_two(DENSE, LARGE * 1.5e108), TOO_LARGE),  # the distance from the mean overflows
        ("max-abs", column_two(DENSE, 5e-324), TOO_SMALL),
        ("max-abs", csr_array(column_two(SPARSE, 1e-310)), TOO_SMALL),
        ("global-max-abs", np.full((9, 2), 1e-310), TOO_SMALL.replace("column 2", "column 0")),
    ],
)
@pytest.mark.parametrize("processes", [1, 3])
def test_a_feature_whose_scaling_overflows_is_refused_by_its_column(kind, X, message, processes):
    told = messages_on_processes(processes, lambda group: fit_scaling(kind, part_of(X, group), group, "data"))
    assert len(set(told)) == 1
    assert told[0].startswith(message)


@pytest.mark.parametrize("kind", ["standard", "max-abs"])
def test_a_large_feature_whose_scaling_is_finite_is_scaled(kind):
    X = column_two(DENSE, 1e150 if kind == "standard" else LARGE)
    assert np.isfinite(scaled(kind, X, 1)).all()


def test_a_constant_of_a_size_whose_square_overflows_is_a_constant():
    assert_array_equal(scaled("standard", column_two(DENSE, 2.0**1000), 1)[:, 2], np.zeros(40))


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_rows_that_overflow_when_scaled_like_the_training_rows_are_refused(form):
    scaling = fit_scaling("max-abs", part_of(form(column_two(DENSE, 1e-300)), SoloGroup()), SoloGroup(), "data")
    other = part_of(form(column_two(DENSE, 1e20)), SoloGroup())
    with pytest.raises(InputError, match=r"^test: column 2 \(counted from 0\): a value overflows when scaled"):
        scaling.apply(other.table, "test")


@pytest.mark.parametrize("processes", [1, 3])
def test_a_split_is_the_same_for_any_number_of_processes_and_loses_no_row(processes):
    numbered = np.arange(40.0)[:, None]
    parts = on_processes(processes, lambda group: split(part_of(numbered, group), 0.3, seed=5))
    train = np.concatenate([train.table.X[:, 0] for train, _ in parts])
    test = np.concatenate([test.table.X[:, 0] for _, test in parts])
    whole_train, whole_test = split(part_of(numbered, SoloGroup()), 0.3, seed=5)
    assert_array_equal(train, whole_train.table.X[:, 0])
    assert_array_equal(test, whole_test.table.X[:, 0])
    assert len(test) == 12
    assert_array_equal(np.sort(np.concatenate([train, test])), numbered[:, 0])
    assert_array_equal(np.concatenate([test.rows for _, test in parts]), np.arange(12))


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_split_that_leaves_a_side_without_rows_is_refused(fraction):
    with pytest.raises(InputError, match=r"data.test_fraction: .* both need at least one"):
        split(part_of(DENSE, SoloGroup()), fraction, seed=0)
