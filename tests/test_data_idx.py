"""IDX files: the data read equal those written, on any number of processes; errors are one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

import hpcopt
from hpcopt.cli.main import main
from hpcopt.data import ChosenClasses, DataRequest, idx, load, read_table
from hpcopt.data.reading import read_file
from hpcopt.errors import InputError
from hpcopt.fabric.solo import SoloGroup
from tests.fake_group import FakeCluster, messages_on_processes, on_processes

COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}
TYPES = pytest.mark.parametrize("dtype", CODES)
PROCESSES = pytest.mark.parametrize("processes", [1, 2, 3, 9])

IMAGES = np.random.default_rng(0).integers(0, 256, size=(23, 4, 3)).astype("u1")
LABELS = (np.arange(23) % 5).astype("u1")


def encoded(array: np.ndarray, code: int | None = None) -> bytes:
    """Return the array as an IDX file by the format's definition."""
    code = CODES[array.dtype.str.lstrip("|")] if code is None else code
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def written(folder, images=IMAGES, labels=LABELS, suffix=""):
    """Write images and labels under MNIST's names; return the path of the images."""
    path = folder / f"some-images-idx3-ubyte{suffix}"
    path.write_bytes(COMPRESS[suffix](encoded(images)))
    if labels is not None:
        (folder / f"some-labels-idx1-ubyte{suffix}").write_bytes(COMPRESS[suffix](encoded(labels)))
    return path


@TYPES
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_every_type_and_shape_is_read_back_row_by_row(tmp_path, dtype, data):
    shape = data.draw(
        st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(1, 4)).map(lambda s: s[: 2 + s[2] % 2])
    )
    elements = {"allow_nan": False, "allow_infinity": False} if dtype[1] == "f" else {}
    images = data.draw(arrays(np.dtype(dtype), shape, elements=elements))
    X = read_table(written(tmp_path, images, None)).X
    assert X.dtype == (np.float32 if dtype == ">f4" else np.float64)
    assert X.dtype.isnative
    assert_array_equal(X, images.reshape(len(images), -1))


@PROCESSES
@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("rows", [None, 10, 1000])
def test_rows_and_labels_are_the_same_for_any_number_of_processes(tmp_path, processes, suffix, rows):
    path = written(tmp_path, suffix=suffix)
    parts = on_processes(processes, lambda group: read_file(path, group, rows=rows))
    assert_array_equal(np.concatenate([part.rows for part in parts]), np.arange(23)[:rows])
    assert_array_equal(np.concatenate([part.table.X for part in parts]), IMAGES.reshape(23, 12)[:rows])
    assert_array_equal(np.concatenate([part.table.y for part in parts]), LABELS[:rows])


def test_a_process_reads_only_its_rows_and_the_headers(tmp_path, monkeypatch):
    path = written(tmp_path)
    read = []

    class Counted(io.FileIO):
        def read(self, size=-1):
            content = super().read(size)
            read.append(len(content))
            return content

    monkeypatch.setattr(idx, "opened", Counted)
    on_processes(1, lambda group: idx.read_idx(path, None, group, rows=4))
    assert sum(read) == 4 * 12 + 4 + 3 * 4


def test_a_file_is_known_by_its_first_bytes_under_any_name(tmp_path):
    path = tmp_path / "faces.dat"
    path.write_bytes(encoded(IMAGES))
    assert_array_equal(read_table(path).X, IMAGES.reshape(23, 12))


def test_labels_are_taken_from_beside_the_images_or_from_the_file_that_is_named(tmp_path):
    path = written(tmp_path)
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(encoded(LABELS[::-1].astype(">i4"))))
    assert_array_equal(read_table(path).y, LABELS)
    assert_array_equal(read_file(path, SoloGroup(), labels=str(other)).table.y, LABELS[::-1])


def test_rows_to_predict_need_no_labels(tmp_path):
    assert read_table(written(tmp_path, labels=None)).y is None


BAD = {
    "no labels": ({"labels": None}, {}, "images: no labels beside it; name their file: data.labels, or"),
    "fewer labels": ({"labels": LABELS[:-1]}, {}, "labels: 22 labels, but {images} has 23 rows; give the file that"),
    "labels of images": ({"labels": IMAGES}, {}, "labels: 3 dimensions (23 x 4 x 3); a file of labels has one"),
    "images of labels": ({"images": LABELS}, {}, "images: 1 dimension (23), as labels have; give the file of the"),
    "no dimension": ({}, {"images": b"\0\0\x08\0"}, "images: not an IDX file: it starts with 00 00 08 00; expected"),
    "nothing": ({}, {"images": b""}, "images: not an IDX file: it starts with nothing; expected 00 00, a type (08, "),
    "text": ({}, {"images": b"1 1:2\n"}, "images: not an IDX file: it starts with 31 20 31 3a; expected 00 00, a type"),
    "type": ({}, {"images": encoded(IMAGES, 7)}, "images: not an IDX file: it starts with 00 00 07 03; expected 00 00"),
    "short header": ({}, {"images": encoded(IMAGES)[:9]}, "images: cut short: it ends in its header; fetch it again"),
    "short": ({}, {"images": encoded(IMAGES)[:-1]}, "images: cut short: its header promises 23 x 4 x 3 entries;"),
    "short labels": ({}, {"labels": encoded(LABELS)[:-1]}, "labels: cut short: its header promises 23 entries;"),
    "long": ({}, {"images": encoded(IMAGES) + b"\0"}, "images: damaged: there are data after the 23 x 4 x 3 entries"),
    "huge": ({}, {"images": b"\0\0\x0e\2" + b"\xff" * 8}, "images: cut short: its header promises 4294967295 x 4294"),
    "large": ({}, {"images": b"\0\0\x0e\2" + b"\x3f" + b"\xff" * 7}, "images: cut short: its header promises 107"),
    "not finite": (
        {"images": np.array([[1, np.inf]], ">f8"), "labels": LABELS[:1]},
        {},
        "images: row 0 (counted from 0): column 1 is inf; only finite numbers",
    ),
    "no rows": ({"images": IMAGES[:0], "labels": LABELS[:0]}, {}, "images: no rows in it"),
}


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("case", BAD)
@PROCESSES
def test_a_bad_file_is_told_in_one_line_on_every_process(tmp_path, case, suffix, processes):
    content, replaced, message = BAD[case]
    images = written(tmp_path, **content, suffix=suffix)
    paths = {"images": images, "labels": tmp_path / f"some-labels-idx1-ubyte{suffix}"}
    for which, text in replaced.items():
        paths[which].write_bytes(COMPRESS[suffix](text))
    told = messages_on_processes(processes, lambda group: read_file(images, group))
    assert len(set(told)) == 1
    which, _, wrong = message.partition(":")
    assert told[0].startswith(f"{paths[which]}:{wrong.format(**paths)}")
    assert "\n" not in told[0]


@PROCESSES
def test_a_stream_that_stops_early_is_told(tmp_path, processes):
    path = written(tmp_path, suffix=".gz")
    path.write_bytes(path.read_bytes()[:-20])
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told[0].startswith(f"{path}: cut short: the gz stream stops before its end; fetch the file again")


def test_labels_of_a_file_that_holds_its_own_are_refused(tmp_path):
    (tmp_path / "data.txt").write_text("1 1:2\n")
    with pytest.raises(
        InputError, match=r"labels: named as the labels of .*data.txt, which is not an IDX file and contains"
    ):
        read_file(tmp_path / "data.txt", SoloGroup(), labels=str(tmp_path / "labels"))


def test_labels_without_their_images_are_refused():
    with pytest.raises(InputError, match=r"^labels: requires path, the IDX file that the labels belong to"):
        DataRequest(source="digits", labels="a")
    with pytest.raises(InputError, match=r"^test_labels: requires test, the IDX file that the labels belong"):
        DataRequest(path="a", test_labels="a")


@pytest.mark.parametrize("nodes", [1, 3])
def test_two_groups_of_classes_one_scale_and_a_test_set_with_its_own_labels(tmp_path, nodes):
    path = written(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(encoded(LABELS[::-1]))
    request = DataRequest(
        path=str(path),
        test=str(path),
        test_labels=str(other),
        classes=ChosenClasses((4,), (1, 2)),
        scale="global-max-abs",
        partition="contiguous",
    )
    everywhere = on_processes(nodes, lambda group: load(request, FakeCluster(group, nodes)))
    X, chosen, tested = IMAGES.reshape(23, 12), np.isin(LABELS, (1, 2, 4)), np.isin(LABELS[::-1], (1, 2, 4))
    largest = float(X[chosen].max())
    for sets, rows, labels in (("shards", chosen, LABELS), ("test_shards", tested, LABELS[::-1])):
        tables = [getattr(loaded, sets)[rank] for rank, loaded in enumerate(everywhere)]
        assert_array_equal(np.concatenate([table.X for table in tables]), X[rows] / largest)
        assert_array_equal(np.concatenate([table.y for table in tables]), np.where(labels[rows] == 4, 1.0, -1.0))
    assert_array_equal(everywhere[0].scaling.scale, np.full(12, largest))


@pytest.mark.parametrize("storage", ["f64", "f32"])
def test_a_model_trained_on_scaled_images_predicts_the_bytes_of_a_file(tmp_path, capsys, storage):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 60).astype("u1")
    images = (rng.integers(0, 100, (60, 2, 3)) + 120 * labels[:, None, None]).astype("u1")
    path = written(tmp_path, images, labels, ".gz")
    run = hpcopt.run(
        {
            "data": {"path": str(path), "scale": "global-max-abs", "storage": storage},
            "problem": {"intercept": True},
            "solver": {"name": "newton-cg"},
            "stop": {"gradient_norm": 1e-6},
        }
    )
    assert run.result["reached"]
    run.model.save(tmp_path / "model.npz")
    assert main(["predict", str(tmp_path / "model.npz"), str(path)]) == 0
    told = capsys.readouterr()
    assert_array_equal([int(line) for line in told.out.split()], labels)
    assert told.err == "accuracy 1.000000 (60 of 60 rows)\n"


def test_mnists_images_are_what_they_are_known_to_be(data_folder):
    table = read_table(data_folder / "t10k-images-idx3-ubyte.gz")
    assert table.X.shape == (10_000, 784)
    assert (table.X.min(), table.X.max()) == (0.0, 255.0)
    assert_allclose(table.X.mean() / 255.0, 0.1325, atol=5e-5)
    assert_array_equal(np.bincount(table.y.astype(int)), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
    assert_array_equal(table.y[:5], [7, 2, 1, 0, 4])


def test_four_and_nine_of_mnist_are_told_apart_on_sorted_shards(data_folder):
    run = hpcopt.run(
        {
            "data": {
                "path": str(data_folder / "t10k-images-idx3-ubyte.gz"),
                "classes": {"positive": [4], "negative": [9]},
                "partition": "by-label",
                "scale": "global-max-abs",
                "test_fraction": 0.25,
            },
            "problem": {"l2": 1e-3, "intercept": True},
            "solver": {"name": "newton-cg"},
            "cluster": {"kind": "virtual", "workers": 9},
            "stop": {"gradient_norm": 1e-4},
        }
    )
    assert run.result["reached"]
    assert run.result["test_accuracy"] > 0.95
