"""The benchmark of compressors: peers do the same work, and rows name the measurement."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.bench.compression import entries
from hpcopt.bench.plain_codecs import NUMPY, torch_codecs
from hpcopt.bench.timing import Case, Peer, compared

ENTRIES = {entry.name: entry for entry in entries()}
X = np.random.default_rng(0).standard_normal(5001).astype(np.float32)


def error(decoded):
    decoded = np.asarray(decoded).reshape(-1)[: X.size]  # the numpy codec may have padded the vector
    return np.linalg.norm(decoded - X) / np.linalg.norm(X)


@pytest.mark.parametrize("name", list(NUMPY))
def test_numpys_way_loses_as_much_as_the_compressor(name):
    compressor = ENTRIES[name].compressor
    ours = compressor.decode(compressor.encode(X, 1), np.empty_like(X))
    _, decode = NUMPY[name](X)
    assert error(decode()) == pytest.approx(error(ours), rel=0.05)


@pytest.mark.parametrize("name", list(NUMPY))
def test_numpys_way_makes_no_longer_message_than_it_must(name):
    encode, _ = NUMPY[name](X)
    code = encode()
    parts = code if isinstance(code, tuple) else (code,)
    least = ENTRIES[name].compressor.capacity(X.size, X.itemsize)
    assert sum(np.asarray(part).nbytes for part in parts) <= 3.1 * least + 8  # indices of 64 bits, where ours have 13


@pytest.mark.parametrize("name", ["f16", "bf16", "top-k 1 %"])
def test_torchs_way_loses_as_much_as_the_compressor(name):
    pytest.importorskip("torch")
    compressor = ENTRIES[name].compressor
    ours = compressor.decode(compressor.encode(X, 1), np.empty_like(X))
    _, decode = torch_codecs()[name](X)
    assert error(decode()) == pytest.approx(error(ours), rel=0.05)


def test_a_row_tells_both_times_their_ratio_and_the_goal():
    calls = []
    case = Case("work", lambda: calls.append("ours"), [Peer("other", lambda: calls.append("peer"), 2.0)])
    (row,) = compared(lambda: None, [case], rounds=3)
    assert row["name"] == "work"
    assert row["peer_name"] == "other"
    assert row["goal"] == 2.0
    assert row["ratio"] == row["peer"] / row["ours"] > 0.0
    assert {"ours", "peer"} == set(calls)
