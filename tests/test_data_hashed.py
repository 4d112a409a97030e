"""LIBSVM text with hashed features: scikit-learn's columns and signs, for any processes, and exact numbers."""

from __future__ import annotations

import bz2

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.feature_extraction import FeatureHasher

from hpcopt import capacity
from hpcopt.cli.main import main
from hpcopt.data import DataRequest
from hpcopt.data.hashed import Hashed
from hpcopt.data.libsvm import read_libsvm
from hpcopt.data.reading import read_file, read_table
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.solo import SoloGroup
from hpcopt.models.model import load
from tests.fake_group import messages_on_processes, on_processes

ROWS = [
    [("price", 2.5), ("red", 1.0), ("17", 0.25)],
    [],
    [("a:b", -1.0), ("été", 3.0), ("18446744073709551615", 1e-30), ("x" * 50, 0.1), ("-3", 1.0)],
    [("red", 4.0), ("red", -1.5), ("017", 1.0), ("17", 1.0)],
]
TEXT = """# words
+1 price:2.5 red 17:0.25 # a comment

-1 qid:4
0.5\ta:b:-1 été:3 18446744073709551615:1e-30 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:.1 -3\r
-1e0 red:4.0 red:-1.5 017 17:1""".encode()
LABELS = [1.0, -1.0, 0.5, -1.0]


def hashed(text, bits):
    piece = Hashed(bits).rows_of(text)
    pointers = np.append(0, np.cumsum(piece.lengths))
    return scipy.sparse.csr_array((piece.data, piece.indices, pointers), shape=(len(piece.labels), 2**bits))


@pytest.mark.parametrize("bits", [1, 3, 20, 30])
def test_columns_signs_and_sums_are_those_of_scikit_learn(bits):
    rng = np.random.default_rng(0)
    rows = [
        *ROWS,
        *([(f"w{k}", v) for k, v in zip(rng.integers(0, 50, 90), rng.random(90), strict=True)] for _ in "ab"),
    ]
    more = "".join("\n1 " + " ".join(f"{name}:{float(value)!r}" for name, value in row) for row in rows[len(ROWS) :])
    X = hashed(TEXT + more.encode(), bits)
    expected = FeatureHasher(2**bits, input_type="pair").transform(rows)
    assert X.has_canonical_format
    assert_allclose((X - scipy.sparse.csr_array(expected)).data, 0.0, atol=1e-14)


def test_numbers_are_read_as_python_reads_them():
    rng = np.random.default_rng(0)
    digits = [f"{x:.{d}{kind}}" for x in rng.standard_normal(60) for d in (0, 3, 15, 17, 20) for kind in "efg"]
    special = ["0", "-0.0", "+.5", "5.", "000123", "1e22", "1e23", "1e-22", "123456789012345e22", "0." + "0" * 30 + "1"]
    numbers = digits + special + ["4.9e-324", "9007199254740991", "1E+05", "0e9999999999"]
    values = hashed("".join(f"{text} {text}\n{text} n:{text}\n" for text in numbers).encode(), 30)
    piece = Hashed(30).rows_of("".join(f"{text} n:{text}\n" for text in numbers).encode())
    assert values.shape[0] == 2 * len(numbers)
    assert_array_equal(piece.labels, np.array(numbers, dtype=np.float64))
    assert_array_equal(np.abs(piece.data), np.abs(piece.labels))


@pytest.mark.parametrize("suffix", ["", ".bz2"])
@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("chunk_bytes", [7, 10_000])
@pytest.mark.parametrize("rows", [None, 2])
def test_rows_are_the_same_for_any_number_of_processes(tmp_path, suffix, processes, chunk_bytes, rows):
    path = tmp_path / f"words.txt{suffix}"
    path.write_bytes(bz2.compress(TEXT) if suffix else TEXT)
    options = {"rows": rows, "hash_bits": 5, "chunk_bytes": chunk_bytes}
    parts = on_processes(processes, lambda group: read_libsvm(path, group, **options))
    X, y = np.zeros((parts[0].total, 32)), np.zeros(parts[0].total)
    for part in parts:
        X[part.rows], y[part.rows] = part.table.X.toarray(), part.table.y
        assert part.numbering is None
    assert_array_equal(X, hashed(TEXT, 5).toarray()[:rows])
    assert_array_equal(y, LABELS[:rows])


BAD_LINES = {
    b"x a:1": "label 'x' is not a number (is this LIBSVM text?)",
    b"1 a:": "the value of feature 'a' '' is not a number",
    b"1 a:1_0": "the value of feature 'a' '1_0' is not a number",
    b"1 a:1e": "the value of feature 'a' '1e' is not a number",
    b"1 a:nan": "the value of feature 'a' is 'nan'; only finite numbers can be used",
    b"1 a:1e999": "the value of feature 'a' is '1e999'; only finite numbers can be used",
    b"1 :2": "':2' has no name before the colon",
    b"1 |words a b": "'|words' contains a |, and namespaces are not supported",
    b"1 a:9007199254740993": "the value of feature 'a' is '9007199254740993', an integer that float64 cannot "
    "represent; it would be read as 9007199254740992",
    b"1 a:1e308 a:1e308": "the sum of features that are hashed into one column overflows",
}


@pytest.mark.parametrize("bad", BAD_LINES)
def test_the_first_bad_line_is_told_with_file_and_line_on_every_process(tmp_path, bad):
    path = tmp_path / "words.txt"
    path.write_bytes(b"\n".join([b"1 a:1 b:2"] * 16 + [bad, b"1 a", b"1 :"]))
    told = messages_on_processes(3, lambda group: read_libsvm(path, group, hash_bits=10, chunk_bytes=64))
    assert told == [f"{path}, line 17: {BAD_LINES[bad]}"] * 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "a", "hash_bits": 0}, "hash_bits: expected an integer >= 1 and <= 30, got 0"),
        ({"path": "a", "hash_bits": 31}, "hash_bits: expected an integer >= 1 and <= 30, got 31"),
        ({"source": "digits", "hash_bits": 8}, "hash_bits: only used with text files"),
        ({"path": "a", "hash_bits": 8, "zero_based": True}, "zero_based: given together with hash_bits"),
    ],
)
def test_a_key_that_cannot_be_met_is_refused(keys, message):
    with pytest.raises(InputError) as refused:
        DataRequest(**keys)
    assert str(refused.value).startswith(message)


def test_only_text_is_hashed(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 3)))
    with pytest.raises(AgreedError, match=r"a\.npy: hash_bits is given, but only the features of LIBSVM text"):
        read_file(tmp_path / "a.npy", SoloGroup(), hash_bits=4)


@pytest.fixture
def words(tmp_path):
    """Return a text of two classes, each with its own words."""
    rng = np.random.default_rng(0)
    lines = [f"{label} {' '.join(f'{label}-{k}' for k in rng.integers(0, 9, 5))} the" for label in [1, 2] * 20]
    path = tmp_path / "words.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_model_predicts_with_the_hash_that_it_was_trained_with(tmp_path, words, capsys):
    model = str(tmp_path / "model.npz")
    assert (
        main(["fit", str(words), "--hash-bits", "12", "-o", model, "--quiet", "--set", "data.test_fraction=0.25"]) == 0
    )
    found = load(model)
    assert (found.hash_bits, found.features) == (12, 4096)
    assert_array_equal(found.predict(read_table(words, hash_bits=12).X), [1.0, 2.0] * 20)
    (tmp_path / "new.txt").write_text("2 2-1 2-2 never-seen:2\n1 1-3 the")
    assert main(["predict", model, str(tmp_path / "new.txt")]) == 0
    assert capsys.readouterr().out == "2\n1\n"
    assert main(["predict", "--one-based", model, str(words)]) == 1
    assert "the model hashes features" in capsys.readouterr().err


def test_a_table_without_memory_for_it_is_refused_before_the_file_is_read(tmp_path, words, capsys, monkeypatch):
    monkeypatch.setattr(capacity, "free", lambda: 10**9)
    assert main(["fit", str(words), "--hash-bits", "28", "-o", str(tmp_path / "model.npz")]) == 1
    assert "data.hash_bits = 28: 268435456 features: the 7 vectors of that many" in capsys.readouterr().err
