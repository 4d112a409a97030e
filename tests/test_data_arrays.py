from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, random_array, save_npz

from hpcopt.data import read_table
from hpcopt.data.reading import read_file
from hpcopt.errors import AgreedError
from hpcopt.fabric.lone import LoneGroup
from tests.fake_group import messages_on_processes, on_processes

RNG = np.random.default_rng(0)
X = RNG.standard_normal((23, 4))
Y = RNG.standard_normal(23)
SPARSE = csr_array(random_array((23, 9), density=0.3, random_state=1, format="csr"))


def dense_of(table):
    return table.X.toarray() if table.sparse else table.X


def save_sparse_with_targets(path, matrix, y=Y):
    members = path.with_name("members.npz")
    save_npz(members, matrix)
    np.savez(path, **np.load(members), y=y)


WRITERS = {
    "dense.npz": lambda path: np.savez(path, X=X, y=Y),
    "squeezed.npz": lambda path: np.savez_compressed(path, X=X, y=Y),
    "fortran.npz": lambda path: np.savez(path, X=np.asfortranarray(X), y=Y),
    "swapped.npz": lambda path: np.savez(path, X=X.astype(">f8"), y=Y.astype(">f8")),
    "table.npy": lambda path: np.save(path, np.column_stack([X, Y])),
    "fortran.npy": lambda path: np.save(path, np.asfortranarray(np.column_stack([X, Y]))),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("processes", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("rows", [None, 7])
def test_each_process_reads_its_run_of_the_rows(tmp_path, name, processes, rows):
    WRITERS[name](tmp_path / name)
    parts = on_processes(processes, lambda group: read_file(tmp_path / name, group, rows=rows))
    assert_array_equal(np.concatenate([part.rows for part in parts]), np.arange(rows or 23))
    assert_array_equal(np.concatenate([part.table.X for part in parts]), X[:rows])
    assert_array_equal(np.concatenate([part.table.y for part in parts]), Y[:rows])
    assert all(part.table.X.flags.c_contiguous for part in parts)


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 30])
def test_a_saved_csr_matrix_is_read_in_runs_of_rows(tmp_path, processes):
    save_sparse_with_targets(tmp_path / "s.npz", SPARSE)
    parts = on_processes(processes, lambda group: read_file(tmp_path / "s.npz", group))
    assert all(part.table.sparse for part in parts)
    assert_array_equal(np.concatenate([dense_of(part.table) for part in parts]), SPARSE.toarray())
    assert_array_equal(np.concatenate([part.table.y for part in parts]), Y)


def test_entries_of_a_csr_matrix_stored_twice_or_out_of_order_are_put_right(tmp_path):
    members = {"data": [1.0, 2.0, 4.0], "indices": [2, 0, 2], "indptr": [0, 3, 3], "shape": [2, 3]}
    np.savez(tmp_path / "s.npz", **members, y=[0.0, 1.0])
    table = read_table(tmp_path / "s.npz")
    assert_array_equal(table.X.toarray(), [[2, 0, 5], [0, 0, 0]])
    assert_array_equal(table.X.indices, [0, 2])


@pytest.mark.parametrize(
    ("given", "kept"),
    [("f4", "f4"), ("f8", "f8"), ("i4", "f8"), ("i8", "f8"), ("u1", "f8"), ("?", "f8"), ("f2", "f8")],
)
@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_float32_stays_float32_and_all_other_numbers_become_float64(tmp_path, given, kept, name):
    numbers = np.ones((5, 3), dtype=given)
    if name == "a.npy":
        np.save(tmp_path / name, numbers)
    else:
        np.savez(tmp_path / name, X=numbers[:, :2], y=numbers[:, 2])
    table = read_table(tmp_path / name)
    assert table.X.dtype == kept
    assert table.y.dtype == np.float64


def test_arrays_to_predict_on_may_come_without_targets(tmp_path):
    np.savez(tmp_path / "a.npz", X=X)
    np.save(tmp_path / "a.npy", X)
    assert read_table(tmp_path / "a.npz", 4).y is None
    assert read_table(tmp_path / "a.npy", 4).y is None
    assert read_table(tmp_path / "a.npy", 3).y is not None


def with_bad(array, row, column, value):
    bad = array.copy()
    bad[row, column] = value
    return bad


def structured():
    return np.zeros(3, dtype=[("a", "f8"), ("b", "f8")])


REFUSED = {
    "no X": (lambda p: np.savez(p, Z=X), "holds Z; expected X and y, or a CSR matrix"),
    "flat X": (lambda p: np.savez(p, X=Y, y=Y), "X has shape (23,); expected (rows, features)"),
    "short y": (lambda p: np.savez(p, X=X, y=Y[:5]), "y has shape (5,); X has 23 rows, so (23,) is right"),
    "column y": (lambda p: np.savez(p, X=X, y=Y[:, None]), "y has shape (23, 1); X has 23 rows, so (23,) is right"),
    "no y": (lambda p: np.savez(p, X=X), "no targets in it; store them under the name y"),
    "words": (lambda p: np.savez(p, X=X, y=np.full(23, "a")), "y: holds values of type <U1; expected numbers"),
    "complex": (lambda p: np.savez(p, X=X * 1j, y=Y), "X: holds values of type complex128; expected numbers"),
    "structured": (lambda p: np.savez(p, X=structured(), y=Y), "X has shape (3,); expected"),
    "objects": (lambda p: np.savez(p, X=X.astype(object), y=Y), "it holds Python objects, which are never loaded"),
    "NaN": (lambda p: np.savez(p, X=with_bad(X, 5, 3, np.nan), y=Y), "row 5 (counted from 0): column 3 is nan; only"),
    "inf": (lambda p: np.savez(p, X=with_bad(X, 22, 0, -np.inf), y=Y), "row 22 (counted from 0): column 0 is -inf;"),
    "NaN target": (
        lambda p: np.savez(p, X=X, y=with_bad(Y[None], 0, 9, np.nan)[0]),
        "row 9 (counted from 0): the target is nan",
    ),
    "not a zip": (lambda p: p.write_bytes(b"1 1:2\n"), "not a sound .npz file: File is not a zip file"),
    "no rows": (lambda p: np.savez(p, X=X[:0], y=Y[:0]), "no rows in it"),
    "csc": (lambda p: save_sparse_with_targets(p, SPARSE.tocsc()), "a sparse matrix in csc format; save it as CSR"),
    "sparse NaN": (
        lambda p: np.savez(p, data=[1.0, np.nan], indices=[0, 2], indptr=[0, 1, 1, 2], shape=[3, 4], y=[0, 1, 2]),
        "row 2 (counted from 0): column 2 is nan; only finite numbers can be used",
    ),
    "column too far": (
        lambda p: np.savez(p, data=[1.0], indices=[4], indptr=[0, 1], shape=[1, 4], y=[0]),
        "column 4 in a matrix of 4 columns",
    ),
    "indptr too short": (
        lambda p: np.savez(p, data=[1.0], indices=[4], indptr=[0, 1], shape=[5, 4], y=[0]),
        "indptr has shape (2,); a matrix of 5 rows has (6,)",
    ),
    "indptr too far": (
        lambda p: np.savez(p, data=[1.0], indices=[0], indptr=[0, 3], shape=[1, 4], y=[0]),
        "indptr, indices and data don't fit together",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("processes", [1, 3])
def test_an_unsound_npz_is_refused_in_one_line_that_says_what_is_wrong(tmp_path, case, processes):
    write, message = REFUSED[case]
    path = tmp_path / "bad.npz"
    write(path)
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert len(set(told)) == 1
    assert told[0].startswith(f"{path}: ")
    assert message in told[0]
    assert "\n" not in told[0]


REFUSED_NPY = {
    "flat": (lambda p: np.save(p, Y), "an array of shape (23,); expected 2 dimensions: features and, last, the target"),
    "objects": (lambda p: np.save(p, X.astype(object)), "not a sound .npy file: "),
    "words": (lambda p: np.save(p, np.full((3, 3), "a")), "holds values of type <U1; expected numbers"),
    "NaN": (lambda p: np.save(p, with_bad(X, 22, 1, np.nan)), "row 22 (counted from 0): column 1 is nan"),
    "NaN target": (lambda p: np.save(p, with_bad(X, 0, 3, np.nan)), "row 0 (counted from 0): the target is nan"),
    "empty": (lambda p: p.write_bytes(b""), "not a sound .npy file: "),
    "text": (lambda p: p.write_bytes(b"1 1:2 3:4 5:6\n"), "not a sound .npy file: "),
    "no rows": (lambda p: np.save(p, X[:0]), "no rows in it"),
}


@pytest.mark.parametrize("case", REFUSED_NPY)
@pytest.mark.parametrize("processes", [1, 3])
def test_an_unsound_npy_is_refused_in_one_line_that_says_what_is_wrong(tmp_path, case, processes):
    write, message = REFUSED_NPY[case]
    path = tmp_path / "bad.npy"
    write(path)
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert len(set(told)) == 1
    assert told[0].startswith(f"{path}: ")
    assert message in told[0]
    assert "\n" not in told[0]


@pytest.mark.parametrize("name", ["dense.npz", "squeezed.npz", "table.npy"])
def test_a_file_that_was_cut_short_is_refused(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AgreedError, match=f"{re.escape(str(path))}: (not a sound|cut short)"):
        read_file(path, LoneGroup())


def test_the_first_bad_row_is_told_whichever_process_holds_a_worse_one(tmp_path):
    bad = with_bad(with_bad(X, 20, 0, np.nan), 9, 2, np.inf)
    np.savez(tmp_path / "bad.npz", X=bad, y=Y)
    told = messages_on_processes(5, lambda group: read_file(tmp_path / "bad.npz", group))
    assert len(set(told)) == 1
    assert "row 9 (counted from 0): column 2 is inf" in told[0]


@pytest.mark.parametrize("features", [3, 5])
def test_arrays_of_another_width_than_asked_for_are_refused(tmp_path, features):
    np.savez(tmp_path / "a.npz", X=X)
    with pytest.raises(ValueError, match=rf"a\.npz has 4 features, the model {features}"):
        read_table(tmp_path / "a.npz", features)
