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
from tests.fake_group import on_processes

RNG = np.random.default_rng(0)
DENSE = RNG.standard_normal((40, 6)) * np.geomspace(1, 1e6, 6) + 3.0
DENSE[:, 2] = 0.1  # a constant that has no exact binary form
DENSE[:, 4] = 0.0
SPARSE = csr_array(random_array((40, 6), density=0.3, random_state=1, format="csr") * -3.0)


def part_of(X, group):
    start, stop = contiguous(X.shape[0], group.rank, group.size)
    return Part(Table(X[start:stop], np.zeros(stop - start)), np.arange(start, stop), X.shape[0])


def scaled(kind, X, processes):
    def work(group):
        part = part_of(X, group)
        table = fit_scaling(kind, part, group).apply(part.table).X
        return table.toarray() if part.table.sparse else table

    return np.concatenate(on_processes(processes, work))


@pytest.mark.parametrize("processes", [1, 3, 50])
def test_standard_scaling_is_scikit_learns(processes):
    assert_allclose(scaled("standard", DENSE, processes), StandardScaler().fit_transform(DENSE), atol=1e-12)


@pytest.mark.parametrize("processes", [1, 3, 50])
@pytest.mark.parametrize("X", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_max_abs_scaling_is_scikit_learns(processes, X):
    theirs = MaxAbsScaler().fit_transform(X)
    # one rounding apart: scikit-learn multiplies sparse entries by the reciprocal
    assert_allclose(scaled("max-abs", X, processes), theirs if X is DENSE else theirs.toarray(), rtol=1e-15)


@pytest.mark.parametrize("X", [DENSE, SPARSE], ids=["dense", "sparse"])
def test_scaling_leaves_its_input_alone_and_keeps_the_storage_type(X):
    part = part_of(X.astype(np.float32), SoloGroup())
    before = part.table.X.copy()
    after = fit_scaling("max-abs", part, SoloGroup()).apply(part.table)
    assert after.X.dtype == np.float32
    assert (before != part.table.X).sum() == 0


def test_standard_scaling_of_sparse_rows_is_refused_with_advice():
    with pytest.raises(AgreedError, match=r'data.scale: "standard" would fill sparse rows .*; take "max-abs"'):
        fit_scaling("standard", part_of(SPARSE, SoloGroup()), SoloGroup())


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
