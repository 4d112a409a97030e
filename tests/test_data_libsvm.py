from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from hpcopt import capacity
from hpcopt.data import read_table
from hpcopt.data.chunks import lines_before, own_chunks
from hpcopt.data.libsvm import read_libsvm
from hpcopt.data.reading import read_file
from hpcopt.errors import AgreedError
from hpcopt.fabric.solo import SoloGroup
from tests.fake_group import messages_on_processes, on_processes

COMPRESS = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
TEXT = b"""# a header
+1 1:0.5 3:-2 # told by hand
-1 qid:4 2:1e3

-1
1 1:7 2:8 3:9
-1 3:0.25\r
+1 2:4"""
ROWS = [[0.5, 0, -2], [0, 1e3, 0], [0, 0, 0], [7, 8, 9], [0, 0, 0.25], [0, 4, 0]]
LABELS = [1, -1, -1, 1, -1, 1]


def written(folder: Path, text: bytes, suffix: str = "") -> Path:
    path = folder / f"data.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](text))
    return path


def gathered(parts):
    """Rows and labels of all processes' parts, in the order of their row numbers; columns as written."""
    width = parts[0].table.d
    X, y = np.full((parts[0].total, width), np.nan), np.full(parts[0].total, np.nan)
    for part in parts:
        X[part.rows], y[part.rows] = part.table.X.toarray(), part.table.y
    assert sum(part.table.n for part in parts) == parts[0].total
    return X, y


@pytest.mark.parametrize("suffix", COMPRESS)
def test_comments_blank_lines_and_qids_are_tolerated_in_every_compression(tmp_path, suffix):
    table = read_table(written(tmp_path, TEXT, suffix))
    assert_array_equal(table.X.toarray(), ROWS)
    assert_array_equal(table.y, LABELS)


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("processes", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 40, 10_000])
def test_rows_and_their_numbers_are_the_same_for_any_number_of_processes(tmp_path, suffix, processes, chunk_bytes):
    path = written(tmp_path, TEXT, suffix)
    X, y = gathered(on_processes(processes, lambda group: read_libsvm(path, group, chunk_bytes=chunk_bytes)))
    assert_array_equal(X[:, 1:], ROWS)
    assert_array_equal(y, LABELS)


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 4, 6, 100])
def test_only_the_first_rows_are_used_when_so_many_are_asked_for(tmp_path, suffix, processes, rows):
    path = written(tmp_path, TEXT, suffix)
    X, y = gathered(on_processes(processes, lambda group: read_libsvm(path, group, rows=rows, chunk_bytes=20)))
    assert_array_equal(X[:, 1:], np.array(ROWS)[:rows, : X.shape[1] - 1])
    assert_array_equal(y, LABELS[:rows])


@pytest.mark.parametrize("zero_based", [True, False])
def test_columns_count_from_zero_exactly_when_column_zero_occurs(tmp_path, zero_based):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 7)) * (rng.random((50, 7)) < 0.3)
    X[7, 0] = 1.0
    path = tmp_path / "data.svm"
    dump_svmlight_file(X, np.arange(50), str(path), zero_based=zero_based)
    ours = read_table(path)
    theirs, _ = load_svmlight_file(str(path), zero_based="auto")
    assert_array_equal(ours.X.toarray(), theirs.toarray())


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("chunk_bytes", [1, 9, 64])
def test_every_byte_of_a_file_is_in_exactly_one_chunk_of_whole_lines(tmp_path, suffix, chunk_bytes):
    path = written(tmp_path, TEXT, suffix)
    chunks = sorted((c.index, c.offset, c.text) for rank in range(3) for c in own_chunks(path, rank, 3, chunk_bytes))
    texts = [text for _, _, text in chunks]
    assert [index for index, _, _ in chunks] == list(range(len(chunks)))
    assert b"".join(texts) == TEXT
    begins = [(offset, len(b"".join(texts[:i]))) for i, (_, offset, text) in enumerate(chunks) if text]
    assert [offset for offset, _ in begins] == [begin for _, begin in begins]
    assert all(text.endswith(b"\n") for text in texts if text and not TEXT.endswith(text))


def test_lines_before_an_offset_are_counted(tmp_path):
    path = written(tmp_path, TEXT, ".gz")
    assert lines_before(path, TEXT.index(b"-1 3:0.25")) == 6


def test_indices_are_int32_where_that_is_wide_enough(tmp_path):
    X = read_table(written(tmp_path, TEXT)).X
    assert (X.indices.dtype, X.indptr.dtype, X.data.dtype) == (np.int32, np.int32, np.float64)


BAD_LINES = {
    b"1 x:2": "feature index 'x' is not an integer; names require data.hash_bits",
    b"1 1.5:2": "feature index '1.5' is not an integer; names require data.hash_bits",
    b"1 -3:2": "feature index '-3' is out of range; expected 0 to 2147483647",
    b"1 99999999999:2": "feature index '99999999999' is out of range; expected 0 to 2147483647",
    b"1 4:2 2:1": "feature index 2 comes after 4; indices must increase along a line",
    b"1 4:2 4:1": "feature index 4 comes after 4; indices must increase along a line",
    b"1 4": "'4' is not of the form index:value",
    b"1 red": "'red' is not of the form index:value; names require data.hash_bits",
    b"1 4:": "the value of feature 4 '' is not a number",
    b"1 4:abc": "the value of feature 4 'abc' is not a number",
    b"1 4:nan": "the value of feature 4 is 'nan'; only finite numbers can be used",
    b"1 4:1e999": "the value of feature 4 is '1e999'; only finite numbers can be used",
    b"yes 4:1": "label 'yes' is not a number (is this LIBSVM text?)",
    b"1,2 4:1": "label '1,2' is not a number (is this LIBSVM text?)",
    b"-inf 4:1": "label is '-inf'; only finite numbers can be used",
    b"nan 4:1": "label is 'nan'; only finite numbers can be used",
    b"1_0 4:1": "label '1_0' is not a number (is this LIBSVM text?)",
    b"1 4:1_0": "the value of feature 4 '1_0' is not a number",
    b"1 1_0:4": "feature index '1_0' is not an integer; names require data.hash_bits",
    b"1 4:infinity": "the value of feature 4 is 'infinity'; only finite numbers can be used",
    b"1 4:0x10": "the value of feature 4 '0x10' is not a number",
    "1 4:٣".encode(): "the value of feature 4 '\\u0663' is not a number",
    b"9007199254740993 4:1": "label is '9007199254740993', an integer that float64 cannot represent; it would be read "
    "as 9007199254740992",
    b"1 4:-1152921504606846977": "the value of feature 4 is '-1152921504606846977', an integer that float64 cannot "
    "represent; it would be read as -1152921504606846976",
    b"\x89PNG\xff 1:2": "label '\\x89PNG\\xff' is not a number (is this LIBSVM text?)",
}


@pytest.mark.parametrize("bad", BAD_LINES)
@pytest.mark.parametrize("suffix", ["", ".bz2"])
@pytest.mark.parametrize("processes", [1, 3])
def test_the_first_bad_line_is_told_with_file_and_line_on_every_process(tmp_path, bad, suffix, processes):
    lines = [b"1 1:1 2:2"] * 60
    lines[16] = bad
    lines[40] = b"1 oops"
    path = written(tmp_path, b"\n".join(lines), suffix)
    told = messages_on_processes(processes, lambda group: read_libsvm(path, group, chunk_bytes=64))
    message = BAD_LINES[bad].replace("\\x", "\\\\x")  # quoted as Python quotes
    assert told == [f"{path}, line 17: {message}"] * processes


def test_a_bad_line_is_told_even_when_only_the_parser_knows_why(tmp_path):
    path = written(tmp_path, b"1 1:1\n1 2:2\x00# a comment behind a zero byte\n")
    with pytest.raises(AgreedError, match=r"data\.txt, "):
        read_libsvm(path, SoloGroup())


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# nothing\n"])
@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("processes", [1, 3])
def test_a_file_without_rows_is_refused(tmp_path, text, suffix, processes):
    path = written(tmp_path, text, suffix)
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [f"{path}: no rows in it"] * processes


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_compressed_file_that_was_cut_short_is_refused_by_name(tmp_path, suffix, processes):
    whole = COMPRESS[suffix](np.random.default_rng(0).bytes(3000).hex().encode())
    path = tmp_path / f"data.txt{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    kind = suffix[1:]
    assert told == [f"{path}: cut short: the {kind} stream stops before its end; fetch the file again"] * processes


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_a_file_that_only_its_name_says_is_compressed_is_refused(tmp_path, suffix):
    path = tmp_path / f"data.txt{suffix}"
    path.write_bytes(TEXT)
    with pytest.raises(AgreedError, match=f"damaged, or not {suffix[1:]}-compressed as its name says"):
        read_file(path, SoloGroup())


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".npz"])
@pytest.mark.parametrize("processes", [1, 3])
def test_a_file_whose_name_hides_that_it_is_compressed_is_refused_with_the_name_that_is_right(
    tmp_path, suffix, processes
):
    path = tmp_path / "data.txt"
    if suffix == ".npz":
        with path.open("wb") as file:
            np.savez(file, y=np.zeros(3))
    else:
        path.write_bytes(COMPRESS[suffix](TEXT))
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [told[0]] * processes
    assert told[0].startswith(f"{path}: {'a zip archive' if suffix == '.npz' else suffix[1:] + '-compressed'}")
    assert suffix in told[0]


@pytest.mark.parametrize("processes", [1, 3])
def test_a_pipe_which_only_one_process_could_read_is_refused(tmp_path, processes):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [f"{path}: not a regular file"] * processes


@pytest.mark.parametrize("processes", [1, 3])
def test_a_missing_file_is_told_in_one_line(tmp_path, processes):
    told = messages_on_processes(processes, lambda group: read_file(tmp_path / "none.txt", group))
    assert told == [f"{tmp_path / 'none.txt'}: No such file or directory"] * processes


@pytest.mark.parametrize("suffix", ["", ".bz2", ".npz", ".npy"])
def test_a_directory_is_told_in_one_line(tmp_path, suffix):
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(AgreedError, match=r"folder.*: Is a directory"):
        read_file(folder, SoloGroup())


def test_a_file_that_only_some_processes_see_is_refused_on_all_with_the_rank_that_misses_it(tmp_path):
    path = written(tmp_path, TEXT)
    seen_by = [path, path, tmp_path / "elsewhere.txt"]
    told = messages_on_processes(3, lambda group: read_file(seen_by[group.rank], group))
    assert told == [f"{seen_by[2]}: No such file or directory (on rank 2 of 3)"] * 3


def test_a_file_that_differs_between_processes_is_refused_on_all(tmp_path):
    path, other = written(tmp_path, TEXT), tmp_path / "other.txt"
    other.write_bytes(b"1 1:1\n")
    seen_by = [path, other, path]
    told = messages_on_processes(3, lambda group: read_file(seen_by[group.rank], group))
    assert [message.partition(": ")[2] for message in told] == [
        f"{len(TEXT)} bytes on rank 0 but 6 on rank 1; all ranks need the same file"
    ] * 3


def test_real_data_are_read_as_scikit_learn_reads_them(data_folder):
    path = data_folder / "a9a.bz2"
    theirs, labels = load_svmlight_file(str(path))
    X, y = gathered(on_processes(2, lambda group: read_libsvm(path, group)))
    assert_array_equal(X[:, 1:], theirs.toarray())
    assert_array_equal(y, labels)


def test_numbers_are_those_that_strtod_reads(tmp_path):
    path = written(tmp_path, b"+1. +01:.5 2:-1.e+3 3:9007199254740992 4:1e300 5:1152921504606846976 # a_b\n-1E0 1:00\n")
    table = read_table(path)
    assert_array_equal(table.X.toarray(), [[0.5, -1000, 2**53, 1e300, 2**60], [0, 0, 0, 0, 0]])
    assert_array_equal(table.y, [1, -1])


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("chunk_bytes", [16, 300, None])
def test_width_and_base_come_from_the_rows_that_are_used(tmp_path, suffix, processes, chunk_bytes):
    lines = [b"1 1:1 2:2 3:3\n"] * 60 + [b"1 0:1 9:2\n"] + [b"1 1:1\n"] * 40
    path = written(tmp_path, b"".join(lines), suffix)
    for rows, columns in ((60, (1, 3)), (61, (0, 9)), (None, (0, 9))):
        parts = on_processes(processes, lambda group, r=rows: read_libsvm(path, group, rows=r, chunk_bytes=chunk_bytes))
        assert {(part.numbering.smallest, part.numbering.largest) for part in parts} == {columns}
        assert {part.table.d for part in parts} == {columns[1] + 1}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("chunk_bytes", [16, 300, None])
def test_a_bad_line_counts_only_among_the_rows_that_are_used(tmp_path, suffix, processes, chunk_bytes):
    lines = [b"1 1:1 2:2 3:3\n"] * 60 + [b"# none\n", b"1 oops\n"] + [b"1 1:1\n"] * 40
    path = written(tmp_path, b"".join(lines), suffix)
    parts = on_processes(processes, lambda group: read_libsvm(path, group, rows=60, chunk_bytes=chunk_bytes))
    assert sum(part.table.n for part in parts) == parts[0].total == 60
    told = messages_on_processes(processes, lambda group: read_libsvm(path, group, rows=61, chunk_bytes=chunk_bytes))
    assert told == [f"{path}, line 62: 'oops' is not of the form index:value; names require data.hash_bits"] * processes


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("index", [2_000_000_000, 2**31 - 1])
def test_an_index_for_whose_vectors_there_is_no_memory_is_told_with_its_line(tmp_path, monkeypatch, processes, index):
    monkeypatch.setattr(capacity, "free", lambda: 20 * 10**9)
    path = written(tmp_path, b"+1 1:1\n-1 %d:1\n+1 2:1\n-1 3:2\n" % index)
    told = messages_on_processes(processes, lambda group: read_libsvm(path, group))
    vectors = f"{8 * index / 1e9:.3g} GB each, take {56 * index / 1e9:.3g} GB of memory, of which 20 GB are free here"
    needed = "the 7 vectors of that many numbers that a run needs"
    assert told == [f"{path}, line 2: feature index {index}: {needed}, {vectors}"] * processes
    monkeypatch.setattr(capacity, "free", lambda: 10**12)
    assert read_libsvm(path, SoloGroup()).numbering.largest == index
