"""Scaling studies on this machine: points are made in processes of their own, and what is missing is made later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from hpcopt.errors import InputError
from hpcopt.scaling.collect import collect
from hpcopt.scaling.folder import LOG, read_jobs
from hpcopt.scaling.points import points_of
from hpcopt.scaling.status import Stage, standings
from hpcopt.scaling.study import read_study
from hpcopt.scaling.submit import check, submit
from hpcopt.scaling.work import work
from tests.launch import SETTINGS, requires_mpi
from tests.scaling import make, read, write_study


def hpcopt(*arguments, cwd):
    command = [sys.executable, "-m", "hpcopt", "scaling", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.mpi
@requires_mpi
def test_a_study_on_this_machine_is_made_once_and_its_results_are_right(tmp_path, monkeypatch):
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    write_study(tmp_path, "ranks = [1, 2]\nrepeats = 1\niterations = 3\nvirtual = 2", stop="rounds = 9")
    made = hpcopt("submit", "study.toml", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "0 of 3 points are done" in made.stdout
    assert "reached the limit of iterations" in made.stdout
    assert hpcopt("status", "study.toml", cwd=tmp_path).stdout.startswith("3 done, 0 running")
    again = hpcopt("submit", "study.toml", cwd=tmp_path)
    assert "3 of 3 points are done" in again.stdout
    assert "[1/" not in again.stdout
    collected = hpcopt("collect", "study.toml", cwd=tmp_path)
    assert "3 of 3 points have finished, and 3 are right" in collected.stdout, collected.stderr
    monkeypatch.chdir(tmp_path)
    study = read_study(tmp_path / "study.toml")
    one, two, virtual = collect(study, points_of(study))
    assert (one.ranks, two.ranks, virtual.cluster) == (1, 2, "virtual")
    assert one.objective == pytest.approx(two.objective, rel=1e-9) == pytest.approx(virtual.objective, rel=1e-9)
    assert two.bytes == virtual.bytes > one.bytes == 0
    assert not (study.folder / "warm-up").exists()


def test_a_point_that_fails_is_named_with_its_error_and_does_not_stop_the_others(tmp_path):
    unequal = 'partition = "unequal"\nfractions = [1, 2]'
    study = read(tmp_path, 'ranks = [1, 2]\non = "virtual"\niterations = 2', stop="rounds = 5", data=unequal)
    points = points_of(study)
    assert work(study, points, cores=2, quiet=True) == 1
    failed, done = standings(points, study.folder).values()
    assert (failed.stage, done.stage) == (Stage.FAILED, Stage.DONE)
    assert failed.why.startswith("data.fractions: ")
    assert [row.ranks for row in collect(study, points)] == [2]


def test_a_point_that_takes_too_long_is_ended(tmp_path):
    study = read(tmp_path, 'ranks = 1\non = "virtual"\ntime_limit = 0.05')
    points = points_of(study)
    assert work(study, points, cores=1, quiet=True) == 1
    assert standings(points, study.folder)[points[0].name].why == "took longer than the time limit of 0.05 s"


def test_an_interrupted_submission_goes_on_where_it_was(tmp_path):
    write_study(tmp_path, 'ranks = [1, 2, 3]\non = "virtual"')
    command = [sys.executable, "-m", "hpcopt", "scaling", "submit", "study.toml"]
    program = (
        f"import signal, os; [signal.signal(n, signal.SIG_DFL) for n in (2, 15)]; os.execv({command[0]!r}, {command!r})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("[1/3]"):
                break
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "interrupted (SIGTERM)" in told
    study = read_study(tmp_path / "study.toml", tmp_path / "runs" / "study")
    deadline = time.monotonic() + 20
    stages = [Stage.RUNNING]
    while Stage.RUNNING in stages and time.monotonic() < deadline:
        stages = [one.stage for one in standings(points_of(study), study.folder).values()]
    assert stages[0] is Stage.DONE
    assert Stage.FAILED not in stages
    assert Stage.MISSING in stages
    assert "1 of 3 points are done" in hpcopt("submit", "study.toml", cwd=tmp_path).stdout
    assert hpcopt("status", "study.toml", cwd=tmp_path).stdout.startswith("3 done")


def test_two_workers_do_not_share_a_study(tmp_path):
    from hpcopt.scaling.work import _alone

    study = read(tmp_path, 'ranks = 1\non = "virtual"')
    with _alone(study.folder), pytest.raises(InputError, match="another process makes points of this study"):
        work(study, points_of(study), cores=1, quiet=True)


def test_a_launcher_that_is_not_here_is_told_once_for_all_points(tmp_path):
    study = read(tmp_path, 'ranks = [1, 2]\nlaunch = "no-launcher -x"')
    with pytest.raises(InputError, match=r"\[scaling\]: launch: there is no no-launcher here"):
        submit(study, points_of(study), quiet=True)


def test_a_file_is_no_folder_of_a_study(tmp_path):
    with pytest.raises(InputError, match=r"study\.toml: is a file, or in one; give another output folder"):
        read_jobs(write_study(tmp_path, "ranks = 1"))


def test_a_folder_whose_name_no_specification_can_hold_is_refused(tmp_path):
    study = replace(read(tmp_path, "ranks = 1"), folder=tmp_path / os.fsdecode(b"\xff"))
    with pytest.raises(InputError, match="expected a name in UTF-8; give another output folder"):
        check(study)


def test_a_folder_with_a_run_is_no_study(tmp_path):
    study = read(tmp_path, "ranks = 1")
    study.folder.mkdir()
    (study.folder / "run.json").write_text("{}")
    with pytest.raises(InputError, match="holds a run or a comparison"):
        check(study)


def test_points_with_wrong_results_are_named(tmp_path):
    study = read(tmp_path, 'ranks = [1, 2, 4]\non = "virtual"\niterations = 3', stop="rounds = 2\ngradient_norm = 1e-9")
    make(study)
    points = points_of(study)
    assert [row.faults for row in collect(study, points) if row.budget == "iterations"] == ["", "", ""]
    assert {row.faults for row in collect(study, points) if row.budget == "target"} == {
        "the goal was not reached: reached the limit of rounds"
    }
    path = study.folder / points[2].name / "run.json"
    described = json.loads(path.read_text())
    assert described["nodes"] == 2
    described["result"]["objective"] *= 1.001
    described["data"]["checksum"] = "0" * 16
    path.write_text(json.dumps(described))
    row = next(row for row in collect(study, points) if row.point == points[2].name)
    assert "the rows are not those of" in row.faults
    path.write_text(path.read_text().replace("0" * 16, collect(study, points)[0].checksum))
    row = next(row for row in collect(study, points) if row.point == points[2].name)
    assert "the objective differs from that of" in row.faults
    assert "by 1.0e-03; the tolerance is 1e-06" in row.faults


def test_a_study_is_not_started_by_mpiexec(tmp_path, monkeypatch):
    write_study(tmp_path, "ranks = 1")
    for name, value in (("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_RANK", "0")):
        monkeypatch.setenv(name, value)
    told = hpcopt("plan", "study.toml", cwd=tmp_path)
    assert told.returncode == 1
    assert "starts the ranks of its runs itself" in told.stderr
    assert not (tmp_path / LOG).exists()
