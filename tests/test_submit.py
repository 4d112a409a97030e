"""`hpcopt submit` before the job reaches SLURM; `test_slurm.py` submits to a real one."""

from __future__ import annotations

import pytest

from hpcopt.cli.main import main

SPEC = """
[data]
source = "breast-cancer"
scale = "standard"
[solver]
name = "sgd"
step_size = 0.01
"""
COMPARISON = SPEC.replace("[solver]", "[[solvers]]")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPCOPT_CLUSTERS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.toml").write_text(SPEC)
    (tmp_path / "many.toml").write_text(COMPARISON)
    return tmp_path


def submit(capsys, *words):
    code = main(["submit", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def command(capsys, *words):
    """Return the lines that run hpcopt in the script."""
    code, out, err = submit(capsys, *words, "--dry-run")
    assert code == 0, err
    return [line.strip() for line in out.splitlines() if " hpcopt " in line and "--resume" in line and line[0] != "#"]


def test_a_run_and_a_comparison_go_on_where_they_stopped(capsys):
    assert command(capsys, "a.toml") == ["run hpcopt run a.toml --resume"]
    assert command(capsys, "many.toml") == ["run hpcopt compare many.toml --resume"]


def test_options_of_the_run_reach_it(capsys):
    words = ("a.toml", "--set", "stop.rounds=3", "--out", "my runs/a", "--force")
    wanted = "run hpcopt run a.toml --set stop.rounds=3 --out 'my runs/a' --force --resume"
    assert command(capsys, *words) == [wanted]


def test_an_array_has_a_task_and_a_folder_for_each_combination(capsys):
    words = ("a.toml", "--array", "seed=0,1", "--array", "solver.step_size=0.1,1e-2", "--at-once", "3")
    code, out, _ = submit(capsys, *words, "--dry-run")
    assert code == 0
    assert "#SBATCH --array=0-3%3\n" in out
    wanted = "2) run hpcopt run a.toml --set seed=1 --set solver.step_size=0.1 --out runs/a/seed=1,solver.step_size=0.1"
    assert f"    {wanted} --resume ;;\n" in out


def test_the_job_and_the_profile_are_in_the_script(here, capsys):
    (here / "clusters.toml").write_text('[site]\npartition = "long"\n')
    words = ("--nodes", "2", "--tasks-per-node", "8", "--cpus-per-task", "4", "--time", "2-0", "--no-requeue")
    _, out, _ = submit(capsys, "a.toml", *words, "--dry-run")
    for line in ("job-name=a", "nodes=2", "ntasks-per-node=8", "cpus-per-task=4", "time=2-0", "partition=long"):
        assert f"#SBATCH --{line}" in out
    assert "#SBATCH --no-requeue" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.toml", "--set", "stop.roun=3"], "--set stop.roun=3: unknown key; did you mean 'rounds'?"),
        (["a.toml", "--array", "seed=1,x"], '--array seed=x: expected an integer >= 0, got "x"'),
        (["a.toml", "--array", "seed"], "--array seed: expected key.path=value,value,..., as in seed=0,1,2"),
        (["a.toml", "--array", "seed=1,1"], "--array: two of its runs would have the same folder, runs/a/seed=1"),
        (["a.toml", "--array", "=1,1"], "--array =1,1: expected key.path=value,value,..., as in seed=0,1,2"),
        (
            ["a.toml", "--array", "seed=1", "--array", "seed=2"],
            "--array: seed is given twice; put all its values into one",
        ),
        (["a.toml", "--time", "2h"], 'time: expected a time: minutes, M:S, H:M:S or D-H:M:S, got "2h"'),
        (
            ["a.toml", "--nodes", "2", "--set", "cluster.workers=3"],
            "cluster.workers: 3 ranks needed, but the job has 2",
        ),
        (
            ["a.toml", "--nodes", "2", "--set", "cluster.kind=virtual", "--set", "cluster.workers=3"],
            "cluster.kind: a virtual cluster runs in one process, but the job has 2 ranks; give one node and one task",
        ),
        (
            ["a.toml", "--profile", "x"],
            "no file with cluster profiles: neither clusters.toml here, nor ~/.config/hpcopt/clusters.toml",
        ),
        (
            ["a.toml", "--array", "output.folder=b,c"],
            "--array: output.folder: each of its runs has a folder of its own",
        ),
        (["a.toml", "--out", "100%/a"], "100%/a: SLURM takes only UTF-8 without % \\ and quotes in the folder"),
        (["a.toml", "--out", "a.toml"], "a.toml: is a file; give another output folder with --out"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_written(here, capsys, words, message):
    code, out, err = submit(capsys, *words)
    assert (code, out) == (1, "")
    assert err.startswith(f"hpcopt: error: {message}")
    assert err.count("\n") == 1
    assert sorted(path.name for path in here.iterdir()) == ["a.toml", "many.toml"]


def test_a_job_that_would_find_another_run_in_its_folder_is_not_submitted(here, capsys):
    assert main(["run", "a.toml", "--quiet", "--set", "stop.rounds=2"]) == 0
    assert submit(capsys, "a.toml", "--dry-run", "--set", "stop.rounds=9")[0] == 0
    code, _, err = submit(capsys, "a.toml", "--set", "seed=1")
    message = "runs/a: holds another run: seed was 0, and is 1; give another output folder with --out"
    assert (code, err) == (1, f"hpcopt: error: {message}\n")


def test_it_says_where_the_script_is_and_how_to_follow_the_job(here, capsys, monkeypatch):
    (here / "bin").mkdir()
    sbatch = here / "bin" / "sbatch"
    sbatch.write_text('#!/bin/sh\n[ "$1 $2" = "--parsable runs/a/job.sbatch" ] && echo 42\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{here / 'bin'}:/usr/bin:/bin")
    (here / "a.toml").write_text(SPEC.replace('source = "breast-cancer"', 'path = "b.svm"'))
    code, out, _ = submit(capsys, "a.toml")
    assert code == 0
    assert out.startswith("job 42: runs/a/job.sbatch\nnote: b.svm is not here; the nodes must see it\n")
    assert "tail -F runs/a/a-42.out\n" in out
