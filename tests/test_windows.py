"""Windows, publications, boards, mailboxes and surveys: the same program on every kind of cluster and engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcopt.fabric.solo import WaitsForEverError
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from tests.counting import Counting
from tests.launch import RANKS, python_ranks, requires_mpi
from tests.ranks.windows import program

PROGRAMS = Path(__file__).parent / "ranks"
ROOT = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
SEVERAL = sorted({*RANKS, 8} - {1})


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize("ranks", SEVERAL)
def test_on_real_ranks_by_one_sided_operations_and_by_messages(ranks):
    done = python_ranks(ranks, PROGRAMS / "windows.py", "one-sided", "two-sided", env=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == ranks
    assert "windows: one-sided (" in done.stdout
    assert "windows: two-sided, as requested" in done.stdout


@pytest.mark.mpi
@requires_mpi
def test_one_sided_operations_that_fail_are_found_out_and_done_without(tmp_path):
    done = python_ranks(3, PROGRAMS / "broken_windows.py", env=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == 3


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_on_the_virtual_cluster(size):
    assert VirtualCluster(size, seed=3).run(program) == [True] * size


def test_alone():
    assert SoloCluster(seed=3).run(program) == [True]


def test_a_lone_node_is_told_that_it_waits_for_ever():
    def waits(node):
        for wait in (node.board(Counting(1)).wait, node.mailbox().wait, lambda: node.window(1).wait(0, bool)):
            with pytest.raises(WaitsForEverError, match="a cluster of one node waits for"):
                wait()
        with pytest.raises(ValueError, match="no node 1"):
            node.window(1).put(np.zeros(1), 1)
        return True

    assert SoloCluster().run(waits) == [True]


@pytest.mark.mpi
@requires_mpi
def test_windows_that_shared_memory_has_no_room_for_are_made_of_messages():
    done = python_ranks(3, PROGRAMS / "no_room.py", env=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done") == 3
