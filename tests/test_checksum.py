"""The checksum of the rows: the same wherever they lie and however they are stored, and another for any other rows."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from hpcopt.data import DataRequest, load
from hpcopt.data.checksum import checksum
from hpcopt.data.table import Table
from hpcopt.fabric.solo import SoloGroup
from tests.fake_group import FakeCluster, on_processes

RNG = np.random.default_rng(0)
X = np.where(RNG.random((23, 5)) < 0.6, RNG.standard_normal((23, 5)), 0.0)
Y = RNG.choice([-1.0, 1.0], 23)


def of(table):
    return checksum(table, FakeCluster(SoloGroup(), 1))


WHOLE = of(Table(X, Y))


def mixed(bits):
    """SplitMix64's finaliser, in Python's integers."""
    z = (bits + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def bits(value):
    return int(np.float64(value).view(np.uint64))


def test_it_is_the_sum_that_its_definition_says():
    rows = [
        bits(target) + sum(mixed((mixed(j) + bits(v)) % 2**64) for j, v in enumerate(row) if v)
        for row, target in zip(X, Y, strict=True)
    ]
    assert f"{sum(mixed(row % 2**64) for row in rows) % 2**64:016x}" == WHOLE


def test_neither_order_nor_storage_of_the_rows_matters():
    order = RNG.permutation(23)
    sparse = csr_array(X)
    stored = csr_array(X + 1.0)  # with every zero stored
    stored.data -= 1.0
    assert of(Table(X[order], Y[order])) == WHOLE
    assert of(Table(sparse[order], Y[order])) == WHOLE
    assert of(Table(stored, Y)) == of(Table(stored.toarray(), Y))
    assert of(Table(-0.0 * X, Y)) == of(Table(csr_array((23, 5)), Y))
    single = X.astype(np.float32)
    assert of(Table(single, Y)) == of(Table(single.astype(np.float64), Y)) != WHOLE


@pytest.mark.parametrize("size", [1, 3])
def test_it_is_the_same_on_any_number_of_processes(tmp_path, size):
    np.savez(tmp_path / "rows.npz", X=X, y=Y)
    request = DataRequest(path=str(tmp_path / "rows.npz"), scale="standard", storage="f32")
    loaded = on_processes(size, lambda group: load(request, FakeCluster(group, size)))
    assert {one.checksum for one in loaded} == {WHOLE}


def test_any_other_rows_have_another_one():
    others = [Table(X[1:], Y[1:]), Table(X, -Y), Table(X[:, ::-1].copy(), Y), Table(np.roll(X, 1, axis=0), Y)]
    i, j = np.argwhere(X)[0]
    nearly = X.copy()
    nearly[i, j] = np.nextafter(nearly[i, j], 9.0)
    sums = [WHOLE, *map(of, [*others, Table(nearly, Y), Table(np.vstack([X, X[:1]]), np.append(Y, Y[0]))])]
    assert len(set(sums)) == len(sums)


def test_the_training_rows_count_and_no_others(tmp_path):
    np.savez(tmp_path / "rows.npz", X=X, y=Y)
    np.savez(tmp_path / "fewer.npz", X=X[:5], y=Y[:5])
    path, fewer, split = str(tmp_path / "rows.npz"), str(tmp_path / "fewer.npz"), {"test_fraction": 0.3}
    whole, tested, held, other = (
        load(DataRequest(path=path, **keys), FakeCluster(SoloGroup(), 1)).checksum
        for keys in ({}, {"test": fewer}, split, {**split, "seed": 1})
    )
    assert whole == tested == WHOLE
    assert len({whole, held, other}) == 3
