"""Rows from arrays in memory: bitwise equal to a file with the same rows; all processes raise errors together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import coo_matrix, csr_array, random_array, save_npz

import hpcopt
from hpcopt.data import ChosenClasses, DataRequest, from_arrays, load
from hpcopt.data.rows import read_arrays
from hpcopt.errors import InputError
from hpcopt.fabric.solo import SoloGroup
from hpcopt.problems.targets import Targets
from tests.fake_group import FakeCluster, messages_on_processes, on_processes
from tests.launch import python_ranks, requires_mpi

DENSE = np.random.default_rng(0).standard_normal((61, 7))
SPARSE = csr_array(random_array((61, 30), density=0.2, random_state=1, format="csr"))
LABELS = np.random.default_rng(1).integers(0, 4, size=61)
FORMS = {
    "dense": DENSE,
    "single": DENSE.astype(np.float32),
    "columns first": np.asfortranarray(DENSE),
    "every other row": np.repeat(DENSE, 2, axis=0)[::2],
    "integers": (10 * DENSE).astype(np.int32),
    "lists": DENSE.tolist(),
    "sparse": SPARSE,
    "coordinates": coo_matrix(SPARSE),
    "columns of single": SPARSE.astype(np.float32).tocsc(),
}
REQUESTS = {
    "plain": ({}, Targets.REAL),
    "scaled": ({"scale": "max-abs", "partition": "contiguous"}, Targets.REAL),
    "split": ({"test_fraction": 0.3, "partition": "by-label", "seed": 4}, Targets.CLASSES),
    "first": ({"rows": 50, "partition": "dirichlet", "alpha": 0.5}, Targets.CLASSES),
    "chosen": ({"classes": ChosenClasses((0, 2), (3,))}, Targets.SIGNS),
}


def alone(nodes=1):
    return FakeCluster(SoloGroup(), nodes)


def array_of(table):
    return table.X.toarray() if table.sparse else table.X


def assert_same(made, expected, nodes):
    for key in ("rows", "test_rows", "features", "groups"):
        assert getattr(made, key) == getattr(expected, key)
    assert_array_equal(made.classes, expected.classes)
    for ours, theirs in ((made.shards, expected.shards), (made.test_shards, expected.test_shards)):
        assert (ours is None) == (theirs is None)
        for node in nodes if ours is not None else ():
            assert ours[node].X.dtype == theirs[node].X.dtype
            assert ours[node].sparse == theirs[node].sparse
            assert_array_equal(array_of(ours[node]), array_of(theirs[node]))
            assert_array_equal(ours[node].y, theirs[node].y)


def written(path, X, y):
    """Write a file with these rows."""
    if isinstance(X, (list, np.ndarray)):
        np.savez(path, X=X, y=y)
    else:
        save_npz(path, csr_array(X))
        with np.load(path) as members:
            np.savez(path, y=y, **members)
    return str(path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", REQUESTS)
def test_arrays_give_what_their_file_gives(tmp_path, form, case):
    keys, targets = REQUESTS[case]
    path = written(tmp_path / "rows.npz", FORMS[form], LABELS)
    expected = load(DataRequest(path=path, **keys), alone(3), targets)
    made = load(DataRequest(source="arrays", **keys), alone(3), targets, from_arrays(FORMS[form], LABELS))
    assert_same(made, expected, range(3))


@pytest.mark.parametrize("form", ["dense", "sparse"])
@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("ends", [(20, 40), (0, 61)])  # the second leaves two processes without rows
def test_processes_with_rows_each_or_all_of_them_get_the_shards_of_one_process(form, case, whole, ends):
    keys, targets = REQUESTS[case]
    X, request = FORMS[form], DataRequest(source="arrays", **keys)
    cuts = [0, *ends, 61]

    def own(group):
        part = slice(None) if whole else slice(cuts[group.rank], cuts[group.rank + 1])
        return load(request, FakeCluster(group, 3), targets, from_arrays(X[part], LABELS[part], whole=whole))

    expected = load(request, alone(3), targets, from_arrays(X, LABELS))
    for rank, made in enumerate(on_processes(3, own)):
        assert_same(made, expected, [rank])


@pytest.mark.parametrize("processes", [1, 3])
def test_rows_to_test_on_come_along(processes):
    request = DataRequest(source="arrays", scale="max-abs")

    def own(group):
        part = np.arange(group.rank, 61, group.size)
        rows = from_arrays(DENSE[part], LABELS[part], test=(DENSE[part] / 2, LABELS[part]))
        return load(request, FakeCluster(group, processes), Targets.REAL, rows)

    made = on_processes(processes, own)
    tested = np.concatenate([loaded.test_shards[rank].X for rank, loaded in enumerate(made)])
    assert made[0].test_rows == 61
    assert_array_equal(np.sort(tested, axis=0), np.sort(DENSE / 2 / np.abs(DENSE).max(axis=0), axis=0))


def test_the_arrays_are_neither_changed_nor_copied_without_need():
    X, S, y = DENSE.copy(), SPARSE.copy(), LABELS.astype(float)
    request = DataRequest(source="arrays", partition="contiguous")
    assert load(request, alone(), Targets.REAL, from_arrays(X, y)).shards[0].X.base is X
    for rows in (X, S):
        load(DataRequest(source="arrays", scale="max-abs"), alone(2), Targets.CLASSES, from_arrays(rows, y))
    assert_array_equal(X, DENSE)
    assert_array_equal(S.toarray(), SPARSE.toarray())
    assert_array_equal(y, LABELS)


NAN = DENSE.copy()
NAN[40, 3] = np.nan
BAD = {
    "one dimension": ((DENSE[0], LABELS), "arrays: X has shape (7,); expected (rows, features)"),
    "targets in a column": ((DENSE, LABELS[:, None]), "arrays: y has shape (61, 1); X has 61 rows, so (61,) is right"),
    "too few targets": ((DENSE, LABELS[:-1]), "arrays: y has shape (60,); X has 61 rows, so (61,) is right"),
    "no rows": ((DENSE[:0], LABELS[:0]), "arrays: no rows in it"),
    "no features": ((DENSE[:, :0], LABELS), "arrays: no features in it"),
    "text": ((DENSE.astype(str), LABELS), "arrays: X: contains values of type <U"),
    "names": ((DENSE, LABELS.astype(str)), "arrays: y: contains values of type <U"),
    "ragged": (([[1.0], [1.0, 2.0]], [0, 1]), "arrays: no array (setting an array element with a sequence."),
    "NaN": ((NAN, LABELS), "arrays: row 40 (counted from 0): column 3 is nan; only finite numbers can be used"),
    "infinity": ((DENSE, np.where(LABELS == 0, np.inf, 1.0)), "arrays: row "),
    "three labels": ((DENSE, LABELS), "arrays: labels take more than two values (0, 1, 2, 3); name two groups"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("processes", [1, 3])
def test_bad_arrays_are_refused_in_one_line_on_every_process(case, processes):
    (X, y), message = BAD[case]
    rows, request = from_arrays(X, y, whole=True), DataRequest(source="arrays")
    told = messages_on_processes(processes, lambda group: load(request, FakeCluster(group, processes), rows=rows))
    assert len(set(told)) == 1
    assert told[0].startswith(message)


HALF = slice(None, 30)
UNLIKE = {
    "other features": (
        [(DENSE, LABELS), (DENSE[:, :5], LABELS)],
        {},
        "arrays: 7 features, dense float64 on rank 0 but 5",
    ),
    "other storage": (
        [(DENSE, LABELS), (FORMS["single"], LABELS)],
        {},
        "arrays: 7 features, dense float64 on rank 0 but",
    ),
    "one sparse": ([(DENSE, LABELS), (SPARSE[:, :7], LABELS)], {}, "arrays: 7 features, dense float64 on rank 0 but 7"),
    "all of them twice": (
        [(DENSE, LABELS)] * 2,
        {},
        "arrays: all 2 processes pass the same 61 rows; give whole = True",
    ),
    "parts as the whole": (
        [(DENSE[HALF], LABELS[HALF]), (DENSE, LABELS)],
        {"whole": True},
        "arrays: not the same on all 2 processes, as whole = True says",
    ),
    "one process's fault": ([(DENSE, LABELS), (DENSE, LABELS[:3])], {}, "arrays: y has shape (3,); X has 61 rows"),
}


@pytest.mark.parametrize("case", UNLIKE)
def test_parts_that_do_not_belong_together_are_refused_on_every_process(case):
    parts, keys, message = UNLIKE[case]
    told = messages_on_processes(
        2,
        lambda group: load(
            DataRequest(source="arrays"), FakeCluster(group, 2), Targets.REAL, from_arrays(*parts[group.rank], **keys)
        ),
    )
    assert len(set(told)) == 1
    assert message in told[0]


def test_processes_that_pass_test_rows_and_processes_that_do_not_are_refused():
    def own(group):
        rows = from_arrays(DENSE, LABELS, test=(DENSE, LABELS) if group.rank else None)
        return load(DataRequest(source="arrays"), FakeCluster(group, 2), Targets.REAL, rows)

    assert messages_on_processes(2, own) == ["rows: test rows on rank 1 but not on rank 0"] * 2


@pytest.mark.parametrize(
    ("keys", "rows", "message"),
    [
        ({"source": "arrays"}, None, 'data.source: "arrays" are passed in Python, by '),
        ({"source": "digits"}, from_arrays(DENSE, LABELS), "data.source: rows were passed, which only source = "),
        (
            {"source": "arrays", "test_fraction": 0.1},
            from_arrays(DENSE, LABELS, test=(DENSE, LABELS)),
            "data.test_fraction: given together with test rows; remove one of the two",
        ),
    ],
)
def test_rows_and_the_table_must_go_together(keys, rows, message):
    with pytest.raises(InputError) as refused:
        load(DataRequest(**keys), alone(), Targets.REAL, rows)
    assert str(refused.value).startswith(message)


def tables(data, **cluster):
    return {
        "data": {**data, "test_fraction": 0.2},
        "problem": {"loss": "logistic", "intercept": True},
        "solver": {"name": "giant"},
        "cluster": cluster,
        "stop": {"rounds": 12},
    }


def test_a_run_from_arrays_is_the_run_from_their_file(tmp_path):
    y = LABELS % 2
    path = written(tmp_path / "rows.npz", DENSE, y)
    virtual = {"kind": "virtual", "workers": 4}
    expected = hpcopt.run(tables({"path": path}, **virtual))
    run = hpcopt.run(tables({"source": "arrays"}, **virtual), rows=from_arrays(DENSE, y), folder=tmp_path / "out")
    assert run.trace == expected.trace
    assert_array_equal(run.model.coef, expected.model.coef)
    assert (tmp_path / "out" / "run.json").exists()


PROGRAM = """
import sys, numpy as np, hpcopt
from hpcopt.data import from_arrays
from mpi4py import MPI
from tests.test_data_rows import DENSE, LABELS, tables

world, y = MPI.COMM_WORLD, LABELS % 2
ordered = {"reduction": "ordered"}
expected = hpcopt.run(tables({"path": sys.argv[1]}, **ordered))
cuts = np.linspace(0, 61, world.size + 1).astype(int)
part = slice(cuts[world.rank], cuts[world.rank + 1])
for rows in (from_arrays(DENSE[part], y[part]), from_arrays(DENSE, y, whole=True)):
    run = hpcopt.run(tables({"source": "arrays"}, **ordered), rows=rows)
    np.testing.assert_array_equal(run.model.coef, expected.model.coef)
    told = [[(row["round"], row["bytes"], row["objective"]) for row in made.trace] for made in (run, expected)]
    assert told[0] == told[1]
bad = from_arrays(DENSE[part], y[part] if world.rank else y)
try:
    hpcopt.run(tables({"source": "arrays"}), rows=bad)
except hpcopt.InputError as error:
    sys.stdout.write(f"refused: {error}\\n")  # in one piece, beside what the others write
"""


@pytest.mark.mpi
@requires_mpi
def test_ranks_run_on_their_own_rows_or_on_the_same_and_refuse_together(tmp_path):
    path = written(tmp_path / "rows.npz", DENSE, LABELS % 2)
    done = python_ranks(3, PROGRAM, path, timeout=100, env={"PYTHONPATH": str(Path(__file__).resolve().parents[1])})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused: arrays: y has shape (61,); X has 20 rows, so (20,) is right") == 3


def spoiled(form, **changed):
    """A matrix that was valid when it was created."""
    made = csr_array(np.diag(np.arange(1.0, 7.0))).asformat(form)
    for name, (place, value) in changed.items():
        getattr(made, name)[place] = value
    return made


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            spoiled("csr", indices=(3, -1)),
            "arrays: indices: -1 at place 3 (row 3, counted from 0): out of range; a matrix of 6",
        ),
        (
            spoiled("csr", indices=(5, 6)),
            "arrays: indices: 6 at place 5 (row 5, counted from 0): out of range; a matrix of 6",
        ),
        (
            spoiled("csr", indptr=(2, 9)),
            "arrays: X: indptr: 9 at place 2: out of range; indices and data have 6 entries",
        ),
        (spoiled("csr", indptr=(2, 0)), "arrays: X: indptr: 0 at place 2 after 1; it must not decrease"),
        (spoiled("csc", indices=(3, 10**6)), "arrays: no array (indices must be < 6)"),
        (spoiled("coo", row=(3, -3)), "arrays: X: coordinate -3 of entry 3: out of range"),
    ],
)
def test_a_sparse_matrix_that_was_spoiled_is_refused_before_anything_follows_its_indices(matrix, message):
    told = messages_on_processes(1, lambda group: read_arrays(matrix, np.arange(6.0), "arrays", group, whole=True))
    assert told[0].startswith(message)


@pytest.mark.parametrize("processes", [1, 3])
def test_integers_in_memory_that_float64_does_not_hold_are_refused_with_their_row(processes):
    y = np.array([0, 1, 0, 2**60, 2**60 + 1, 1])
    told = messages_on_processes(processes, lambda group: read_arrays(np.eye(6), y, "arrays", group, whole=True))
    message = "arrays: y: row 4 (counted from 0): 1152921504606846977 is an integer that float64 cannot represent; it "
    assert told == [f"{message}would be read as 1152921504606846976"] * processes


def test_a_masked_value_is_not_taken_for_the_number_under_the_mask():
    masked = np.ma.masked_array(np.eye(3), np.eye(3) > 0)
    told = messages_on_processes(1, lambda group: read_arrays(masked, np.arange(3.0), "arrays", group, whole=True))
    assert told == ["arrays: a masked array with masked values; fill them in first"]
