from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array, random_array
from sklearn.datasets import dump_svmlight_file, load_breast_cancer, load_digits, load_svmlight_file

from hpcopt.data import ChosenClasses, DataRequest, load, read_table
from hpcopt.errors import InputError
from hpcopt.fabric.solo import SoloGroup
from hpcopt.problems.targets import Targets
from tests.fake_group import FakeCluster, messages_on_processes, on_processes

SIGNS = Targets.SIGNS
DENSE = np.random.default_rng(0).standard_normal((61, 7))
SPARSE = csr_array(random_array((61, 30), density=0.2, random_state=1, format="csr"))
LABELS = np.random.default_rng(1).integers(0, 4, size=61).astype(float)


def alone(nodes=1):
    """A cluster whose nodes are all in this process."""
    return FakeCluster(SoloGroup(), nodes)


def array_of(table):
    return table.X.toarray() if table.sparse else table.X


@pytest.fixture
def files(tmp_path):
    np.savez(tmp_path / "dense.npz", X=DENSE, y=LABELS)
    np.savez(tmp_path / "single.npz", X=DENSE.astype(np.float32), y=LABELS)
    np.save(tmp_path / "table.npy", np.column_stack([DENSE, LABELS]))
    np.savez(
        tmp_path / "sparse.npz",
        data=SPARSE.data,
        indices=SPARSE.indices,
        indptr=SPARSE.indptr,
        shape=SPARSE.shape,
        y=LABELS,
    )
    dump_svmlight_file(SPARSE, LABELS, str(tmp_path / "sparse.txt"))
    return tmp_path


REQUESTS = {
    "dense": {"path": "dense.npz"},
    "single": {"path": "single.npz", "partition": "contiguous"},
    "table": {"path": "table.npy", "partition": "by-label"},
    "sparse": {"path": "sparse.npz", "partition": "dirichlet", "alpha": 0.3},
    "text": {"path": "sparse.txt", "scale": "max-abs"},
    "tested": {"path": "sparse.txt", "test": "sparse.txt", "rows": 40},
    "split": {"path": "dense.npz", "test_fraction": 0.3},
    "chosen": {
        "path": "sparse.txt",
        "classes": ChosenClasses((0, 2), (3,)),
        "test_fraction": 0.2,
        "targets": SIGNS,
    },
    "digits": {"source": "digits", "rows": 100, "partition": "by-label", "test_fraction": 0.02},
    "generated": {"source": "logistic", "rows": 3000, "features": 5, "targets": SIGNS},
    "made for nodes": {"source": "heterogeneous-least-squares", "rows": 600, "features": 5, "heterogeneity": 2.0},
    "generated sparse": {"source": "least-squares", "rows": 3000, "features": 50, "density": 0.1, "seed": 4},
}


def request_for(files, **keys):
    for key in ("path", "test"):
        if key in keys:
            keys[key] = str(files / keys[key])
    return DataRequest(**keys)


def loaded(files, cluster, targets=Targets.REAL, **keys):
    return load(request_for(files, **keys), cluster, targets)


@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("nodes", [1, 2, 3, 5])
def test_shards_are_the_same_on_one_process_as_on_many(files, case, nodes):
    keys = REQUESTS[case]
    whole = loaded(files, alone(nodes), **keys)
    assert list(whole.shards) == list(range(nodes))
    for rank, own in enumerate(on_processes(nodes, lambda group: loaded(files, FakeCluster(group, nodes), **keys))):
        assert list(own.shards) == [rank]
        assert (own.rows, own.test_rows, own.features) == (whole.rows, whole.test_rows, whole.features)
        for ours, theirs in ((own.shards, whole.shards), (own.test_shards, whole.test_shards)):
            if theirs is None:
                assert ours is None
                continue
            assert ours[rank].X.dtype == theirs[rank].X.dtype
            assert ours[rank].sparse == theirs[rank].sparse
            assert_array_equal(array_of(ours[rank]), array_of(theirs[rank]))
            assert_array_equal(ours[rank].y, theirs[rank].y)


@pytest.mark.parametrize("nodes", [1, 3])
def test_standard_scaling_is_the_same_on_many_processes_up_to_rounding(files, nodes):
    keys = {"path": "dense.npz", "scale": "standard", "test_fraction": 0.2}
    whole = loaded(files, alone(nodes), **keys)
    for rank, own in enumerate(on_processes(nodes, lambda group: loaded(files, FakeCluster(group, nodes), **keys))):
        assert_allclose(own.shards[rank].X, whole.shards[rank].X, rtol=1e-12, atol=1e-14)
    rows = np.concatenate([shard.X for shard in whole.shards.values()])
    assert_allclose(rows.mean(axis=0), 0, atol=1e-14)
    assert_allclose(rows.std(axis=0), 1, rtol=1e-13)


@pytest.mark.parametrize("case", REQUESTS)
@pytest.mark.parametrize("nodes", [1, 4])
def test_shards_together_hold_every_row_once(files, case, nodes):
    made = loaded(files, alone(nodes), **REQUESTS[case])
    assert sum(shard.n for shard in made.shards.values()) == made.rows
    assert min(shard.n for shard in made.shards.values()) >= 1
    together = np.concatenate([array_of(shard) for shard in made.shards.values()])
    one = array_of(loaded(files, alone(), **REQUESTS[case]).shards[0])
    assert_array_equal(np.sort(together, axis=0), np.sort(one, axis=0))


@pytest.mark.parametrize(("source", "theirs"), [("breast-cancer", load_breast_cancer), ("digits", load_digits)])
def test_embedded_data_are_scikit_learns(source, theirs):
    X, y = theirs(return_X_y=True)
    shard = load(DataRequest(source=source, partition="contiguous"), alone(), Targets.REAL).shards[0]
    assert_array_equal(shard.X, X)
    assert_array_equal(shard.y, y)


def test_labels_of_a_two_class_loss_become_signs_and_the_classes_are_told(files):
    loaded = load(DataRequest(source="breast-cancer", partition="contiguous"), alone())
    assert_array_equal(loaded.classes, [0, 1])
    assert_array_equal(loaded.shards[0].y, 2.0 * load_breast_cancer().target - 1)


CHOSEN = ChosenClasses((0, 2), (3,))


def test_two_groups_of_classes_are_told_with_a_two_class_loss(files):
    made = loaded(files, alone(), path="dense.npz", classes=CHOSEN, targets=SIGNS)
    assert_array_equal(made.classes, [-1, 1])
    assert made.groups == CHOSEN


def test_groups_of_classes_are_plain_numbers_to_a_loss_of_real_targets(files):
    made = loaded(files, alone(), path="dense.npz", classes=CHOSEN)
    assert made.classes is None
    assert made.groups is None
    assert set(made.shards[0].y) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("keys", "zero_based"),
    [
        ({"path": "dense.npz"}, None),
        ({"path": "table.npy"}, None),
        ({"source": "digits"}, None),
        ({"path": "sparse.txt"}, True),
        ({"path": "one_based.txt"}, False),
    ],
)
def test_only_text_says_whether_columns_count_from_zero(files, keys, zero_based):
    (files / "one_based.txt").write_text("1 1:1\n-1 2:1\n")
    assert loaded(files, alone(), **keys).zero_based is zero_based


def test_a_text_test_set_with_fewer_features_is_padded_and_numbered_like_the_training_set(tmp_path):
    (tmp_path / "train.txt").write_text("1 0:1 5:2\n-1 2:1\n")
    (tmp_path / "test.txt").write_text("1 1:3\n")
    loaded = load(DataRequest(path=str(tmp_path / "train.txt"), test=str(tmp_path / "test.txt")), alone())
    assert loaded.zero_based
    assert_array_equal(array_of(loaded.test_shards[0]), [[0, 3, 0, 0, 0, 0]])


def test_a_column_zero_in_the_test_set_tells_that_the_training_set_counts_from_zero(tmp_path):
    (tmp_path / "train.txt").write_text("1 1:1 5:2\n-1 2:1\n")
    (tmp_path / "test.txt").write_text("1 0:3\n")
    loaded = load(DataRequest(path=str(tmp_path / "train.txt"), test=str(tmp_path / "test.txt")), alone())
    assert loaded.features == 6
    assert_array_equal(array_of(loaded.test_shards[0]), [[3, 0, 0, 0, 0, 0]])


SHIFTED = {
    None: False,
    True: True,
    False: False,
}  # data.zero_based, and whether columns 1 and 3 keep their numbers


@pytest.mark.parametrize("zero_based", SHIFTED)
@pytest.mark.parametrize("processes", [1, 3])
def test_the_base_of_text_is_the_one_asked_for_in_training_and_test_files(tmp_path, zero_based, processes):
    (tmp_path / "text.txt").write_text("1 1:7 3:5\n-1 1:2\n1 3:4\n")
    path = str(tmp_path / "text.txt")
    request = DataRequest(path=path, test=path, partition="contiguous", zero_based=zero_based)
    expected = [[0, 7, 0, 5], [0, 2, 0, 0], [0, 0, 0, 4]] if SHIFTED[zero_based] else [[7, 0, 5], [2, 0, 0], [0, 0, 4]]
    made = on_processes(processes, lambda group: load(request, FakeCluster(group, processes)))
    for shards in ([one.shards for one in made], [one.test_shards for one in made]):
        rows = np.concatenate([array_of(own[rank]) for rank, own in enumerate(shards)])
        assert_array_equal(rows, expected)
    assert {one.zero_based for one in made} == {SHIFTED[zero_based]}
    assert made[0].remarks == ()


def test_a_base_that_the_files_belie_or_that_is_of_no_text_is_refused(files, tmp_path):
    (tmp_path / "zero.txt").write_text("1 0:1\n-1 2:1\n")
    with pytest.raises(InputError, match=r"data.zero_based: given as false, but zero\.txt has a column 0"):
        loaded(files, alone(), path="zero.txt", zero_based=False)
    with pytest.raises(
        InputError, match=r"data.zero_based: dense\.npz is not a text file; only the columns of text files can count"
    ):
        loaded(files, alone(), path="dense.npz", zero_based=True)
    with pytest.raises(InputError, match="zero_based: only used with text files"):
        DataRequest(source="digits", zero_based=True)


@pytest.mark.parametrize(("text", "both"), [("1 1:1 6:2\n", True), ("1 1:1 7:2\n", False), ("1 0:1 6:2\n", False)])
def test_text_to_test_a_model_of_arrays_on_that_fits_either_way_is_remarked_on(files, text, both):
    (files / "test.txt").write_text(text)
    made = loaded(files, alone(), path="dense.npz", test="test.txt")
    told = (
        "test.txt: columns count from 1, as none is 0; counted from 0 they would fit the 7 features as well "
        "(data.zero_based = true if they do)"
    )
    assert made.remarks == ((told,) if both else ())
    if both:
        asked = loaded(files, alone(), path="dense.npz", test="test.txt", zero_based=True)
        assert asked.remarks == ()
        assert_array_equal(array_of(asked.test_shards[0]), [[0, 1, 0, 0, 0, 0, 2]])


def test_a_table_to_predict_on_takes_width_and_numbering_of_the_model(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("0 1:3\n")
    assert_array_equal(read_table(path, 4).X.toarray(), [[3, 0, 0, 0]])
    assert_array_equal(read_table(path, 4, zero_based=True).X.toarray(), [[0, 3, 0, 0]])
    path.write_text("0 0:3\n")
    with pytest.raises(InputError, match=r"new\.txt has a feature 0, but the model's features count from 1"):
        read_table(path, 4, zero_based=False)
    path.write_text("0 5:3\n")
    with pytest.raises(InputError, match=r"new\.txt has 5 features, the model 4"):
        read_table(path, 4)


def test_shards_on_one_process_share_the_memory_of_one_table(files):
    shards = loaded(files, alone(3), path="dense.npz").shards
    assert shards[0].X.base is not None
    assert all(shard.X.base is shards[0].X.base for shard in shards.values())


BAD_DATA = {
    "three labels": (
        {"path": "dense.npz", "targets": SIGNS},
        "dense.npz: labels take more than two values (0, 1, 2, 3); name two groups",
    ),
    "real targets": (
        {"source": "least-squares", "targets": SIGNS},
        "least-squares: labels take more than two values",
    ),
    "one label": (
        {"path": "one.txt", "targets": SIGNS},
        "one.txt: every label is 1; a loss of classes needs at least two values",
    ),
    "absent class": (
        {"path": "dense.npz", "classes": ChosenClasses((0,), (9,))},
        "dense.npz: data.classes names 9, but no row has that label",
    ),
    "empty shard": (
        {"path": "two.txt", "nodes": 3},
        "3 nodes but 2 rows: an empty shard has nothing to compute; use at most 2 nodes",
    ),
    "wider test": ({"path": "two.txt", "test": "wide.txt"}, "wide.txt has 9 features, two.txt 2"),
    "wider arrays": ({"path": "dense.npz", "test": "sparse.npz"}, "sparse.npz has 30 features, dense.npz 7"),
    "narrower arrays": ({"path": "sparse.npz", "test": "dense.npz"}, "dense.npz has 7 features, sparse.npz 30"),
    "new test label": (
        {"path": "two.txt", "test": "odd.txt", "targets": SIGNS},
        "odd.txt: row 1 (counted from 0) has the label 3; two.txt has -1, 1",
    ),
    "no features": ({"path": "bare.txt"}, "bare.txt: no features in it"),
    "standard sparse": (
        {"path": "sparse.txt", "scale": "standard"},
        'data.scale: "standard" would make sparse rows dense',
    ),
    "large": (
        {"path": "large.txt", "scale": "max-abs", "test": "two.txt"},
        "two.txt: column 1 (counted from 0): a value overflows when scaled; give the feature another unit",
    ),
    "fractions": (
        {"path": "dense.npz", "partition": "unequal", "fractions": (1.0,), "nodes": 3},
        "data.fractions: one",
    ),
    "split": ({"path": "two.txt", "test_fraction": 0.1}, "data.test_fraction: 0.1 of 2 rows leaves 0 to test"),
}


@pytest.mark.parametrize("case", BAD_DATA)
@pytest.mark.parametrize("many", [False, True])
def test_bad_data_are_refused_in_one_line_on_every_process(files, case, many):
    (files / "one.txt").write_text("1 1:1\n1 2:1\n1 1:2\n")
    (files / "wide.txt").write_text("1 9:1\n")
    (files / "odd.txt").write_text("1 1:1\n3 1:1\n")
    (files / "large.txt").write_text("1 1:1 2:1e-307\n-1 2:1e-307\n")
    (files / "two.txt").write_text("1 1:1\n-1 2:1e3\n")
    (files / "bare.txt").write_text("1\n-1\n")
    keys, message = BAD_DATA[case]
    keys = dict(keys)
    nodes = keys.pop("nodes", 2)
    processes = nodes if many else 1
    told = messages_on_processes(processes, lambda group: loaded(files, FakeCluster(group, nodes), **keys))
    assert len(set(told)) == 1
    assert told[0].startswith(message)
    assert "\n" not in told[0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, 'missing; [data] requires path = "a file" or source = "embedded or generated data"'),
        ({"path": "a", "source": "digits"}, "source: given together with path; remove one of the two"),
        ({"source": "digit"}, 'source: expected one of "breast-cancer", "digits", '),
        ({"path": "a", "partition": "shufled"}, 'partition: expected one of "by-label", '),
        ({"path": "a", "scale": "max"}, 'scale: expected one of "global-max-abs", "max-abs", '),
        ({"path": "a", "rows": 0}, "rows: expected an integer >= 1, got 0"),
        ({"path": "a", "rows": 2.5}, "rows: expected an integer >= 1, got 2.5"),
        ({"path": "a", "fractions": [1.0, 0.0]}, "fractions.1: expected a number > 0, got 0.0"),
        ({"path": "a", "test_fraction": 1.0}, "test_fraction: expected a number >= 0 and < 1, got 1.0"),
        ({"path": "a", "test": "b", "test_fraction": 0.5}, "test_fraction: given together with test"),
        ({"path": "a", "partition": "dirichlet"}, 'alpha: missing; partition = "dirichlet" needs it'),
        ({"path": "a", "density": 0.5}, "density: only used with generated data (source = logistic, "),
        ({"source": "logistic", "condition": 0.1}, "condition: expected a number >= 1, got 0.1"),
        ({"source": "digits", "features": 5}, "features: only used with generated data"),
        ({"path": "a", "heterogeneity": float("nan")}, "heterogeneity: expected a finite number, got nan"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_its_key(keys, message):
    with pytest.raises(InputError) as refused:
        DataRequest(**keys)
    assert str(refused.value).startswith(message)


def test_importing_the_room_brings_in_no_heavy_library():
    heavy = "{'sklearn', 'matplotlib', 'networkx', 'mpi4py', 'numba'}"
    code = f"import sys, hpcopt.data; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("nodes", [1, 3])
def test_real_data_arrive_complete_on_their_nodes(data_folder, nodes):
    X, y = load_svmlight_file(str(data_folder / "agaricus.train.bz2"))
    request = DataRequest(
        path=str(data_folder / "agaricus.train.bz2"),
        test=str(data_folder / "agaricus.test.bz2"),
        partition="contiguous",
    )
    loaded = on_processes(nodes, lambda group: load(request, FakeCluster(group, nodes)))
    together = [each.shards[rank] for rank, each in enumerate(loaded)]
    assert_array_equal(np.concatenate([array_of(shard) for shard in together]), X.toarray())
    assert_array_equal(np.concatenate([shard.y for shard in together]), 2 * y - 1)
    assert (loaded[0].rows, loaded[0].test_rows, loaded[0].features) == (6513, 1611, 126)
