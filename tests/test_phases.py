"""Progress of reading, and a run's time by phase."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import time

import numpy as np
import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.data.chunks import own_chunks
from hpcopt.data.listening import told_to
from hpcopt.runs import progress
from hpcopt.runs.phases import Phases
from hpcopt.runs.progress import ReadingProgress
from tests.fake_group import on_processes
from tests.launch import hpcopt_ranks, requires_mpi

PHASES = ["read", "prepare", "warm-up", "solve", "write"]
SPECIFICATION = """
[data]
path = "rows.svm"
[solver]
name = "newton-cg"
[stop]
rounds = 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with rows in a text file and a specification for them."""
    rng = np.random.default_rng(0)
    lines = [
        f"{int(y)} 1:{a:.6f} 2:{b:.6f}\n"
        for y, a, b in zip(rng.integers(0, 2, 900), *rng.random((2, 900)), strict=True)
    ]
    (tmp_path / "rows.svm").write_text("".join(lines))
    (tmp_path / "spec.toml").write_text(SPECIFICATION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("packed", [None, (".gz", gzip), (".bz2", bz2), (".xz", lzma)])
def test_reading_tells_bytes_of_the_file_up_to_its_end(folder, packed, rank):
    path = folder / "rows.svm"
    if packed is not None:
        path = folder / f"rows.svm{packed[0]}"
        path.write_bytes(packed[1].compress((folder / "rows.svm").read_bytes()))
    told = []
    with told_to(lambda *heard: told.append(heard)):
        list(own_chunks(path, rank, 3, 1000))
    files, passed, totals = zip(*told, strict=True)
    assert set(files) == {path}
    assert set(totals) == {path.stat().st_size}
    assert list(passed) == sorted(passed)
    assert totals[0] - 3000 <= passed[-1] <= totals[0]
    list(own_chunks(path, rank, 3, 1000))
    assert len(told) == len(files)  # the listener has been removed


@pytest.mark.parametrize("silent", [False, True])
def test_a_batch_log_has_a_line_every_few_seconds_of_reading(folder, silent, monkeypatch, capsys):
    monkeypatch.setattr(progress, "SOON", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with ReadingProgress(silent=silent):
        list(own_chunks(folder / "rows.svm", 0, 1, 10_000))
    lines = capsys.readouterr().out.splitlines()
    assert bool(lines) != silent
    assert all(line.startswith("reading rows.svm: 0 of 0 MB") for line in lines)


def test_short_reading_is_not_worth_a_line(folder, capsys):
    with ReadingProgress(silent=False):
        list(own_chunks(folder / "rows.svm", 0, 1, 10_000))
    assert capsys.readouterr().out == ""


def test_a_phase_lasts_until_the_next_and_goes_on_when_begun_again():
    phases = Phases()
    phases.begin("read")
    time.sleep(0.02)
    phases.begin("solve")
    phases.begin("read")
    time.sleep(0.02)
    phases.end()
    assert list(phases.seconds) == ["read", "solve"]
    assert phases.seconds["read"] >= 0.04


def test_the_longest_of_all_processes_counts():
    def body(group):
        phases = Phases()
        phases.begin("read")
        time.sleep(0.05 * group.rank)
        phases.begin("solve")
        time.sleep(0.05 * (2 - group.rank))
        phases.level(group)
        return phases.seconds

    first, *others = on_processes(3, body)
    assert all(other == first for other in others)
    assert min(first.values()) >= 0.1


def test_run_json_and_summary_have_the_seconds_by_phase(folder, capsys):
    assert main(["run", "spec.toml"]) == 0
    assert "seconds by phase" in capsys.readouterr().out
    described = json.loads((folder / "runs" / "spec" / "run.json").read_text())
    assert list(described["phases"]) == PHASES
    assert all(spent >= 0 for spent in described["phases"].values())
    assert described["result"]["seconds"] <= described["phases"]["solve"]


def test_the_solvers_of_a_comparison_share_the_reading_and_have_their_own_solving(folder):
    tables = {"data": {"path": "rows.svm"}, "solvers": [{"name": "newton-cg"}, {"name": "sgd"}], "stop": {"rounds": 5}}
    first, second = (run.phases.seconds for run in hpcopt.compare(tables).runs)
    assert first["read"] == second["read"]
    assert first["solve"] != second["solve"]


@pytest.mark.mpi
@requires_mpi
def test_three_ranks_tell_their_phases_once(folder):
    done = hpcopt_ranks(3, "run", "spec.toml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("seconds by phase") == 1
    assert list(json.loads((folder / "runs" / "spec" / "run.json").read_text())["phases"]) == PHASES
