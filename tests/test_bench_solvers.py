"""The benchmark of the adaptive solvers: the peers do the same work, and a peer that is missing is named."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest

from hpcopt.bench import solvers
from hpcopt.bench.plain_learners import VOWPAL

IMPORT = importlib.import_module


def test_the_numpy_steps_are_the_fused_ones():
    for case in itertools.islice(solvers._fused(quick=True), 2):
        ours, peer = case.ours, case.peers[0].call
        ours(), peer()
        x, _, v, z = ours.args[1:5]
        np.testing.assert_allclose(x, peer.args[0], rtol=1e-12)
        np.testing.assert_allclose(v, peer.args[2], rtol=1e-15)
        np.testing.assert_allclose(z, peer.args[3], rtol=1e-15)


@pytest.mark.parametrize("installed", [True, False])
def test_a_pass_is_compared_with_other_libraries_or_tells_which_is_missing(monkeypatch, installed):
    if installed:
        pytest.importorskip("vowpalwabbit")
    else:
        monkeypatch.setattr(importlib, "import_module", missing)
    monkeypatch.setattr(solvers, "BATCH", 64)
    monkeypatch.setattr(solvers, "BITS", 14)
    rows = solvers._passes(lambda: None, solvers.generated(400), rounds=1)
    assert [row["peer_name"].partition(",")[0].partition(":")[0] for row in rows] == [
        "scikit-learn SGDClassifier", VOWPAL,
    ] * 2  # fmt: skip
    for row in rows:
        assert set(row) == {"name", "ours", "peer", "peer_name", "ratio", "goal"}
        assert (row["ratio"] is None) == ("not installed" in row["peer_name"])
        assert "accuracy" in row["name"]


def missing(name, package=None):
    if name == "vowpalwabbit":
        raise ImportError(name)
    return IMPORT(name, package)
