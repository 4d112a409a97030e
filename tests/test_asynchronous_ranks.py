"""DSGD-AAU on real ranks, over one-sided operations and over messages: every invariant, under random delays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.launch import RANKS, python_ranks, requires_mpi

pytestmark = [pytest.mark.mpi, requires_mpi]
PROGRAM = Path(__file__).parent / "ranks" / "averaging.py"
ROOT = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}


@pytest.mark.parametrize(
    ("engine", "ranks"),
    [(engine, n) for n in RANKS if n > 1 for engine in ("one-sided", "two-sided") if engine == "one-sided" or n == 3],
)
def test_every_invariant_holds_on_real_ranks(engine, ranks):
    done = python_ranks(ranks, PROGRAM, engine, "40", "0", "2", env=ROOT)
    assert done.returncode == 0, done.stderr
    assert f"averaged: {engine}, {ranks} ranks, 2 runs" in done.stdout


@pytest.mark.parametrize("engine", ["one-sided", "two-sided"])
def test_more_ranks_than_cores(engine):
    done = python_ranks(6, PROGRAM, engine, "20", "1", "1", env=ROOT)
    assert done.returncode == 0, done.stderr
