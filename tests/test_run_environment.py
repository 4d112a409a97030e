"""What run.json tells about where and from what a run was made."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

import hpcopt
from hpcopt.cli.main import main
from hpcopt.runs import execute
from hpcopt.runs.environment import by_host, commit_of, in_ranges
from hpcopt.runs.phases import Phases
from tests.fake_group import on_processes

SPECIFICATION = '[data]\nsource = "logistic"\nrows = 60\n[solver]\nname = "newton-cg"\n[stop]\nrounds = 3\n'


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Draw no pictures."""
    monkeypatch.setattr(execute, "_draw", lambda *_: None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a specification."""
    (tmp_path / "spec.toml").write_text(SPECIFICATION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def described(folder):
    return json.loads((folder / "runs" / "spec" / "run.json").read_text())


def git(folder, *arguments):
    who = ("-c", "user.name=A", "-c", "user.email=a@b")
    done = subprocess.run(["git", *who, "-C", folder, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with one file in one commit."""
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit_of.cache_clear()
    return tmp_path


@pytest.mark.parametrize("inner", [".", "inner"])
def test_the_commit_of_a_folder_is_that_of_the_repository_around_it(repository, inner):
    (repository / inner).mkdir(exist_ok=True)
    (repository / "untracked").touch()
    assert commit_of(repository / inner) == {"commit": git(repository, "rev-parse", "HEAD"), "changed": False}


def test_changed_files_are_told(repository):
    (repository / "file").write_text("two\n")
    told = commit_of(repository)
    assert told == {"commit": git(repository, "rev-parse", "HEAD"), "changed": True}


def test_a_folder_that_git_cannot_describe_has_no_commit(tmp_path, monkeypatch, repository):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").write_text("gitdir: nowhere\n")
    assert commit_of(tmp_path / "broken") is None
    monkeypatch.setenv("PATH", "")
    assert commit_of(repository) is None


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([3], "3"), ([0, 1, 2, 5, 7, 8], "0-2,5,7-8"), ([0, 2], "0,2")]
)
def test_numbers_are_told_in_ranges(numbers, text):
    assert in_ranges(numbers) == text


def test_ranks_are_told_by_host_and_what_differs_between_them_in_a_list():
    told = [{"host": host, "cpu": "c", "bound_to": core} for host, core in (("a", "0"), ("b", "0"), ("a", "1"))]
    assert by_host(told) == [
        {"host": "a", "ranks": "0,2", "cpu": "c", "bound_to": ["0", "1"]},
        {"host": "b", "ranks": "1", "cpu": "c", "bound_to": "0"},
    ]


def test_run_json_tells_command_file_machine_and_only_harmless_variables(folder, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_JWT", "secret-token")
    assert main(["run", "spec.toml", "--virtual", "3"]) == 0
    run = described(folder)
    told = run["environment"]
    assert told["specification"] == {"name": "spec.toml", "sha256": hashlib.sha256(SPECIFICATION.encode()).hexdigest()}
    assert told["command"] == sys.orig_argv
    assert told["folder"] == str(folder)
    assert told["launcher"] is None
    assert told["variables"] == {**told["variables"], "OPENBLAS_NUM_THREADS": "1", "SLURM_JOB_ID": "77"}
    (host,) = told["hosts"]
    assert (host["host"], host["ranks"]) == (run["hosts"][0], "0")
    assert 1 <= host["cores"] <= host["logical_cores"]
    assert set(host["threads"].values()) == {1}
    assert "secret" not in json.dumps(run)
    for values in run["phases_over_ranks"].values():
        assert values["peak_memory"]["max"] > 2**20
    assert {phase: values["seconds"]["max"] for phase, values in run["phases_over_ranks"].items()} == {
        phase: spent for phase, spent in run["phases"].items() if phase != "write"
    }


def test_a_specification_that_is_no_file_has_no_hash(tmp_path):
    tables = {"data": {"source": "logistic", "rows": 60}, "solver": {"name": "giant"}, "stop": {"rounds": 1}}
    hpcopt.run(tables, folder=tmp_path / "run")
    assert "specification" not in json.loads((tmp_path / "run" / "run.json").read_text())["environment"]


def test_phases_keep_smallest_median_and_largest_of_the_processes():
    def body(group):
        phases = Phases({"read": float(group.rank)}, {"read": 10.0 * (3 - group.rank)})
        phases.level(group)
        return phases.over_processes

    first, *others = on_processes(3, body)
    assert all(other == first for other in others)
    assert first == {
        "read": {
            "seconds": {"min": 0.0, "median": 1.0, "max": 2.0},
            "peak_memory": {"min": 10.0, "median": 20.0, "max": 30.0},
        }
    }
