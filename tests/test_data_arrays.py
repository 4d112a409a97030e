from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array, random_array, save_npz

from hpcopt.data import read_table
from hpcopt.data.reading import read_file
from hpcopt.errors import AgreedError
from hpcopt.fabric.solo import SoloGroup
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


def save_members(path, names):
    array = io.BytesIO()
    np.save(array, X)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, array.getvalue())


REFUSED = {
    "no X": (lambda p: np.savez(p, Z=X), "holds Z; expected X and y, or a CSR matrix"),
    "flat X": (lambda p: np.savez(p, X=Y, y=Y), "X has shape (23,); expected (rows, features)"),
    "short y": (lambda p: np.savez(p, X=X, y=Y[:5]), "y has shape (5,); X has 23 rows, so (23,) is right"),
    "column y": (lambda p: np.savez(p, X=X, y=Y[:, None]), "y has shape (23, 1); X has 23 rows, so (23,) is right"),
    "no y": (lambda p: np.savez(p, X=X), "no targets in it; store them under the name y"),
    "words": (lambda p: np.savez(p, X=X, y=np.full(23, "a")), "y: contains values of type <U1; expected numbers"),
    "complex": (lambda p: np.savez(p, X=X * 1j, y=Y), "X: contains values of type complex128; expected numbers"),
    "structured": (lambda p: np.savez(p, X=structured(), y=Y), "X has shape (3,); expected"),
    "objects": (lambda p: np.savez(p, X=X.astype(object), y=Y), "it contains Python objects, which are never loaded"),
    "NaN": (lambda p: np.savez(p, X=with_bad(X, 5, 3, np.nan), y=Y), "row 5 (counted from 0): column 3 is nan; only"),
    "inf": (lambda p: np.savez(p, X=with_bad(X, 22, 0, -np.inf), y=Y), "row 22 (counted from 0): column 0 is -inf;"),
    "NaN target": (
        lambda p: np.savez(p, X=X, y=with_bad(Y[None], 0, 9, np.nan)[0]),
        "row 9 (counted from 0): the target is nan",
    ),
    "a longdouble that no double holds": (
        lambda p: np.savez(p, X=with_bad(X.astype(np.longdouble), 4, 1, np.longdouble("1e400")), y=Y),
        "row 4 (counted from 0): column 1 is inf; only finite numbers can be used",
    ),
    "two members of a name": (lambda p: save_members(p, ["X.npy", "X"]), "X: 2 members have this name"),
    "not a zip": (lambda p: p.write_bytes(b"1 1:2\n"), "not a valid .npz file: File is not a zip file"),
    "no rows": (lambda p: np.savez(p, X=X[:0], y=Y[:0]), "no rows in it"),
    "csc": (lambda p: save_sparse_with_targets(p, SPARSE.tocsc()), "a sparse matrix in csc format; save it as CSR"),
    "sparse NaN": (
        lambda p: np.savez(p, data=[1.0, np.nan], indices=[0, 2], indptr=[0, 1, 1, 2], shape=[3, 4], y=[0, 1, 2]),
        "row 2 (counted from 0): column 2 is nan; only finite numbers can be used",
    ),
    "column too far": (
        lambda p: np.savez(p, data=[1.0], indices=[4], indptr=[0, 1], shape=[1, 4], y=[0]),
        "indices: 4 at place 0 (row 0, counted from 0): out of range; a matrix of 4 columns has 0 to 3",
    ),
    "indptr too short": (
        lambda p: np.savez(p, data=[1.0], indices=[4], indptr=[0, 1], shape=[5, 4], y=[0]),
        "indptr has shape (2,); (6,) is right for 5 rows and data of length 1",
    ),
    "indptr too far": (
        lambda p: np.savez(p, data=[1.0], indices=[0], indptr=[0, 3], shape=[1, 4], y=[0]),
        "indptr: 3 at place 1, where 1 is right",
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
    assert told[0].isprintable()


REFUSED_NPY = {
    "flat": (lambda p: np.save(p, Y), "an array of shape (23,); expected 2 dimensions: features and, last, the target"),
    "objects": (lambda p: np.save(p, X.astype(object)), "it contains Python objects, which are never loaded"),
    "words": (lambda p: np.save(p, np.full((3, 3), "a")), "contains values of type <U1; expected numbers"),
    "NaN": (lambda p: np.save(p, with_bad(X, 22, 1, np.nan)), "row 22 (counted from 0): column 1 is nan"),
    "NaN target": (lambda p: np.save(p, with_bad(X, 0, 3, np.nan)), "row 0 (counted from 0): the target is nan"),
    "empty": (lambda p: p.write_bytes(b""), "not a valid .npy file: "),
    "text": (lambda p: p.write_bytes(b"1 1:2 3:4 5:6\n"), "not a valid .npy file: "),
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
    with pytest.raises(AgreedError, match=f"{re.escape(str(path))}: (not a valid|cut short)"):
        read_file(path, SoloGroup())


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


def sparse_with(**changed):
    members = {"data": np.ones(6), "indices": np.array([0, 1, 2, 3, 4, 5], np.int32), "indptr": np.array([0, 2, 4, 6])}
    return {**members, "shape": np.array([3, 6]), "y": np.array([1.0, -1, 1]), **changed}


SPARSE_FAULTS = {
    "a negative index": ({"indices": [0, 1, 2, 3, -1, 5]}, "indices: -1 at place 4 (row 2, counted from 0): out of"),
    "an index too large": ({"indices": [0, 1, 6, 3, 4, 5]}, "indices: 6 at place 2 (row 1, counted from 0): out of"),
    "the first of several": (
        {"indices": [0, -7, 2, 3, 4, 9]},
        "indices: -7 at place 1 (row 0, counted from 0): out of",
    ),
    "indices that are no integers": (
        {"indices": np.arange(6.0)},
        "indices: contains values of type float64; expected int",
    ),
    "unsigned indices": (
        {"indices": np.array([0, 1, 2, 3, 2**63, 5], np.uint64)},
        "indices: 9223372036854775808 at place 4",
    ),
    "pointers that fall": ({"indptr": [0, 5, 4, 6]}, "indptr: 4 at place 2 after 5; it must not decrease"),
    "a negative pointer": ({"indptr": [0, -2, 4, 6]}, "indptr: -2 at place 1: out of range; indices and data have 6"),
    "a first pointer": ({"indptr": [1, 2, 4, 6]}, "indptr: 1 at place 0, where 0 is right"),
    "a last pointer": ({"indptr": [0, 2, 4, 5]}, "indptr: 5 at place 3, where 6 is right"),
    "pointers that are no integers": (
        {"indptr": [0, np.nan, 4, 6]},
        "indptr: contains values of type float64; expected",
    ),
    "fewer indices": ({"indices": [0, 1]}, "indices has shape (2,); (6,) is right for 3 rows and data of length 6"),
    "a shape of three": ({"shape": [3, 6, 1]}, "shape: expected the numbers of rows and of columns"),
    "a shape beyond int64": (
        {"shape": np.array([3, 2**64 - 1], np.uint64)},
        "shape: expected the numbers of rows and of columns, two integers from 0 to 9223372036854775807",
    ),
    "a negative shape": ({"shape": [3, -6]}, "shape: expected the numbers of rows and of columns"),
    "a format of numbers": ({"format": 7}, "format: expected a text, got int64 of shape ()"),
    "values too exact": ({"data": [1, 1, 1, 2**53 + 1, 1, 1]}, "data: row 1 (counted from 0): 9007199254740993 is an"),
}


@pytest.mark.parametrize("case", SPARSE_FAULTS)
@pytest.mark.parametrize("processes", [1, 3])
def test_members_that_are_no_csr_matrix_are_told_with_value_and_place(tmp_path, case, processes):
    changed, message = SPARSE_FAULTS[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **sparse_with(**changed))
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [told[0]] * processes
    assert told[0].startswith(f"{path}: {message}")


def test_unsorted_entries_are_sorted_and_those_at_the_same_place_added_up(tmp_path):
    np.savez(tmp_path / "a.npz", **sparse_with(indices=[3, 1, 2, 2, 5, 0]))
    table = read_table(tmp_path / "a.npz")
    assert_array_equal(table.X.toarray(), [[0, 1, 0, 1, 0, 0], [0, 0, 2, 0, 0, 0], [1, 0, 0, 0, 0, 1]])
    assert table.X.has_canonical_format


@pytest.mark.parametrize("processes", [1, 3])
def test_members_that_are_not_used_are_not_looked_at(tmp_path, processes):
    path = tmp_path / "a.npz"
    np.savez(path, X=X, y=Y, names=np.array(["a", "b"], dtype=object))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", b"by hand")
        archive.writestr("broken.npy", b"\x93NUMPY\1\0\0\0{")
    parts = on_processes(processes, lambda group: read_file(path, group))
    assert sum(part.table.n for part in parts) == len(X)


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"y": np.full(23, 2**60 + 1)}, "y: row 0 (counted from 0): 1152921504606846977 is an integer"),
        (
            {"X": with_bad(X.astype(np.int64), 21, 2, -(2**53) - 1)},
            "X: row 21 (counted from 0): column 2: -90071992547",
        ),
        (
            {"X": with_bad(np.abs(X).astype(np.uint64), 9, 0, 2**64 - 1)},
            "X: row 9 (counted from 0): column 0: 1844674407370955",
        ),
    ],
)
def test_integers_that_float64_does_not_hold_are_refused_with_their_row(tmp_path, processes, members, message):
    path = tmp_path / "a.npz"
    np.savez(path, **{"X": X, "y": Y, **members})
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [told[0]] * processes
    assert told[0].startswith(f"{path}: {message}")


def test_large_integers_that_float64_holds_are_numbers_like_others(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.array([[2**60, 0], [-(2**63), 1]]), y=np.array([2**63, 1], np.uint64))
    table = read_table(tmp_path / "a.npz")
    assert_array_equal(table.X, [[2.0**60, 0], [-(2.0**63), 1]])
    assert_array_equal(table.y, [2.0**63, 1])


HEADERS = {
    "a call": b"{'descr': '<f8', 'fortran_order': False, 'shape': (len('x'), 3), }",
    "a negative side": b"{'descr': '<f8', 'fortran_order': False, 'shape': (-23, 3), }",
    "a side that is no integer": b"{'descr': '<f8', 'fortran_order': False, 'shape': (2.5, 3), }",
    "a side that is true": b"{'descr': '<f8', 'fortran_order': False, 'shape': (True, 3), }",
    "an open bracket": b"{'descr': '<f8', 'fortran_order': False, 'shape': (23, 3, }",
    "another open bracket": b"{'descr': [('a', '<f8', 'fortran_order': False, 'shape': (23, 3)}",
    "an unknown type": b"{'descr': 'pq', 'fortran_order': False, 'shape': (23, 3), }",
    "a type of a type": b"{'descr': ('<f8', (3,)), 'fortran_order': False, 'shape': (23,), }",
    "an order that is none": b"{'descr': '<f8', 'fortran_order': 3, 'shape': (23, 3), }",
    "a side of many digits": b"{'descr': '<f8', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b", 3), }",
    "deep brackets": b"{'descr': " + b"[" * 3000 + b"}",
    "a zero byte": b"{'descr': '<f8\0', 'fortran_order': False, 'shape': (23, 3), }",
    "more than there is": b"{'descr': '<f8', 'fortran_order': False, 'shape': (75000000, 5), }",
    "less than there is": b"{'descr': '<f8', 'fortran_order': False, 'shape': (22, 3), }",
    "words": b"{'descr': '<U2', 'fortran_order': False, 'shape': (23, 3), }",
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_damaged_header_ends_in_one_line_that_names_the_member(tmp_path, case, name):
    header = HEADERS[case] + b"\n"
    array = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + X[:, :3].tobytes()
    path = tmp_path / name
    if name == "a.npy":
        path.write_bytes(array)
    else:
        np.savez(path, y=Y)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("X.npy", array)
    with pytest.raises(AgreedError, match=f"^{re.escape(str(path))}: {'' if name == 'a.npy' else 'X'}") as raised:
        read_file(path, SoloGroup())
    told = str(raised.value)
    assert told.isprintable()
    assert len(told) < len(str(path)) + 200
    assert "0x" not in told  # an address differs between ranks


def test_an_unknown_version_of_numpys_format_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, X)
    path.write_bytes(path.read_bytes().replace(b"NUMPY\1\0", b"NUMPY\4\0", 1))
    with pytest.raises(AgreedError, match=r"not a valid \.npy file: version 4\.0 of the format is unknown"):
        read_file(path, SoloGroup())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_flipped_bit_in_an_archive_is_found_on_any_number_of_processes(tmp_path, processes, order):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.asarray(X, order=order), y=Y)
    whole = bytearray(path.read_bytes())
    whole[whole.index(np.asarray(X, order=order).tobytes(order)) + 5] ^= 1
    path.write_bytes(whole)
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [f"{path}: X: not a valid array: Bad CRC-32 for file 'X.npy'"] * processes


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_what_a_file_declares_and_does_not_hold_takes_no_memory(tmp_path, name):
    path = tmp_path / name
    content = BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f8", "fortran_order": False, "shape": (75_000_000, 5)})
    content.write(bytes(80))
    if name == "a.npy":
        path.write_bytes(content.getvalue())
    else:
        np.savez(path, y=Y)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("X.npy", content.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(AgreedError, match="cut short: its header promises 3,000,000,128 bytes, and there are 208"):
            read_file(path, SoloGroup())
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
