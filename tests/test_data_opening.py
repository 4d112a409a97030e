"""Compressed files: consecutive streams are read; anything else after a stream is an error with its place."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess
import sys

import numpy as np
import pytest

from hpcopt.data import chunks
from hpcopt.data.opening import opened
from hpcopt.data.reading import read_file
from hpcopt.errors import InputError
from tests.fake_group import messages_on_processes, on_processes

COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
SUFFIXES = pytest.mark.parametrize("suffix", COMPRESS)
PROCESSES = pytest.mark.parametrize("processes", [1, 3])
TEXT = np.random.default_rng(0).bytes(60_000).hex().encode()
ROWS = b"".join(b"%d 1:%d 2:%d\n" % (2 * (i % 2) - 1, i % 7, i % 5 - 2) for i in range(600))


def content(path):
    with opened(path) as file:
        return file.read()


@SUFFIXES
@pytest.mark.parametrize("between", [b"", b"\0" * 4, b"\0" * 200_000])
def test_streams_one_after_the_other_with_zero_bytes_behind_are_one_text(tmp_path, suffix, between):
    path, stream = tmp_path / f"a{suffix}", COMPRESS[suffix]
    path.write_bytes(stream(TEXT) + between + stream(b"") + stream(TEXT) + between)
    assert content(path) == TEXT + TEXT


def flipped(stream, place):
    return stream[:place] + bytes([stream[place] ^ 1]) + stream[place + 1 :]


DAMAGE = {  # the second stream, and the error message
    "another first byte": (lambda stream: flipped(stream, 0), "damaged between the bytes"),
    "another byte in its middle": (lambda stream: flipped(stream, len(stream) // 2), "damaged between the bytes"),
    "text": (lambda _: b"1 1:1\n", "damaged between the bytes"),
    "one byte": (lambda _: b"x", "damaged between the bytes"),
    "zero bytes, then text": (lambda _: b"\0" * 70_000 + b"1 1:1\n", "damaged between the bytes"),
    "cut short": (lambda stream: stream[:-5], "cut short"),
}


@SUFFIXES
@PROCESSES
@pytest.mark.parametrize("case", DAMAGE)
def test_what_follows_a_stream_and_is_none_is_damage_with_its_place_on_every_process(tmp_path, suffix, processes, case):
    damaged, words = DAMAGE[case]
    path, stream = tmp_path / f"rows.svm{suffix}", COMPRESS[suffix](ROWS)
    path.write_bytes(stream + damaged(stream))
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert len(set(told)) == 1
    assert told[0].startswith(f"{path}: {words}")
    if words != "cut short":
        assert f" of {path.stat().st_size:,} (after 1 {suffix[1:]} stream)" in told[0]


@SUFFIXES
@PROCESSES
def test_images_whose_stream_is_followed_by_garbage_are_refused_alike_on_every_process(tmp_path, suffix, processes):
    path = tmp_path / f"some-images-idx2-ubyte{suffix}"
    path.write_bytes(COMPRESS[suffix](b"\0\0\x08\2\0\0\0\6\0\0\0\2" + bytes(12)) + b"garbage")
    labels = tmp_path / f"some-labels-idx1-ubyte{suffix}"
    labels.write_bytes(COMPRESS[suffix](b"\0\0\x08\1\0\0\0\6" + bytes(range(6))))
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [told[0]] * processes
    assert told[0].startswith(f"{path}: damaged between the bytes")
    assert "rank" not in told[0]


@SUFFIXES
def test_a_flipped_bit_is_found_with_its_place(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    stream = COMPRESS[suffix](TEXT * 3)
    path.write_bytes(flipped(stream, len(stream) // 2))
    with pytest.raises(InputError, match=f"damaged between the bytes .* of {len(stream):,}; fetch the file again"):
        content(path)


@SUFFIXES
@pytest.mark.parametrize("rows", [100, 600])
def test_damage_behind_the_rows_that_are_used_is_the_same_on_any_number_of_processes(tmp_path, suffix, rows):
    path = tmp_path / f"rows.svm{suffix}"
    path.write_bytes(COMPRESS[suffix](ROWS * 400) + b"garbage")
    for processes in (1, 2, 3, 7):
        parts = on_processes(processes, lambda group: read_file(path, group, rows=rows))
        assert parts[0].total == sum(part.table.n for part in parts) == rows


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
@PROCESSES
def test_a_line_longer_than_the_limit_is_refused_by_its_number(tmp_path, monkeypatch, suffix, processes):
    monkeypatch.setattr(chunks, "LONGEST_LINE", 1 << 20)
    path = tmp_path / f"rows.svm{suffix}"
    text = ROWS + b"1 " + b"7" * (6 << 20) + b"\n" + ROWS
    path.write_bytes(COMPRESS.get(suffix, bytes)(text))
    told = messages_on_processes(processes, lambda group: read_file(path, group))
    assert told == [f"{path}, line 601: longer than 1 MiB (is this text?)"] * processes
    parts = on_processes(processes, lambda group: read_file(path, group, rows=600))
    assert parts[0].total == 600


def test_one_line_of_a_gigabyte_is_refused_within_bounded_memory(tmp_path):
    path = tmp_path / "bomb.svm.gz"
    path.write_bytes(gzip.compress(b"7" * (1 << 24)) * 64)
    program = (
        "import resource, sys\n"
        "from hpcopt.data import read_table\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "try:\n    read_table(sys.argv[1])\nexcept ValueError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"{path}, line 1: longer than 64 MiB (is this text?)\n"
