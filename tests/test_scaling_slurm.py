"""Scaling studies under SLURM: which jobs make which points, and what is known of them from the queue."""

from __future__ import annotations

import os
import re
import shlex
import sys

import pytest

from hpcopt.batch.profile import ClusterProfile, Limits
from hpcopt.errors import InputError
from hpcopt.kernels.cache import place
from hpcopt.scaling.collect import collect
from hpcopt.scaling.folder import LOG, WARM_UP, read_jobs
from hpcopt.scaling.points import points_of
from hpcopt.scaling.slurm import jobs_for, states, submit, text_of
from hpcopt.scaling.status import Stage, standings
from hpcopt.scaling.study import read_study
from tests.launch import requires_mpi
from tests.scaling import make, read, write_study
from tests.slurm import requires_slurm, slurm

TABLE = 'on = "slurm"\nranks = [1, 4, 6]\nrepeats = 2\niterations = 3\ntime_limit = 600'
STOP = "rounds = 9"


def test_all_points_are_made_in_one_allocation_where_that_fits(tmp_path):
    study = read(tmp_path, f"{TABLE}\nthreads = [1, 2]\nvirtual = 64", stop=STOP)
    points = points_of(study)
    one, two = jobs_for(study, points, ClusterProfile(), tasks_per_node=4, array=False)
    assert (one.job.nodes, one.job.tasks_per_node, one.job.cpus_per_task) == (2, 4, 1)
    assert (two.job.nodes, two.job.tasks_per_node, two.job.cpus_per_task) == (2, 4, 2)
    assert [point for planned in (one, two) for point in planned.tasks[0]] == [
        *(point for point in points if point.place.threads == 1),
        *(point for point in points if point.place.threads == 2),
    ]
    warm, *made = one.job.commands
    assert len(made) == 3 * 2 + 1, "two runs on each number of ranks, and virtual nodes"
    assert warm.arguments[-1] == "output.record_every=0", "the first run is discarded"
    assert [command.ranks for command in made] == [1, 4, 6, 1, 1, 4, 6]
    assert {command.output for command in made} == {str(study.folder / point.name / LOG) for point in one.tasks[0]}
    assert one.job.time == "1:21:00", "eight runs of at most ten minutes, and one minute more"
    assert not one.job.requeue
    text = text_of(one, ClusterProfile(partition="fast"))
    assert "#SBATCH --partition=fast" in text
    assert f" > /dev/null 2>&1; rm -rf {shlex.quote(str(study.folder / WARM_UP))}\n" in text
    assert f" > '{study.folder / points[0].name / LOG}' 2>&1" in text or f"{LOG} 2>&1" in text


def test_if_one_allocation_is_too_long_there_is_an_array_for_each_number_of_ranks(tmp_path):
    study = read(tmp_path, TABLE, stop=STOP)
    profile = ClusterProfile(limits=Limits(time="1:00:00", tasks_per_node=4))
    jobs = jobs_for(study, points_of(study), profile, tasks_per_node=None, array=False)
    assert [(one.job.array, one.job.nodes, one.job.tasks_per_node, one.job.time) for one in jobs] == [
        (True, 1, 1, "0:11:00"),
        (True, 1, 4, "0:11:00"),
        (True, 2, 4, "0:11:00"),
    ]
    assert [[len(task) for task in one.tasks] for one in jobs] == [[1, 1]] * 3
    short = ClusterProfile(limits=Limits(time="0:05:00"))
    with pytest.raises(InputError, match=r"time: at most 0:05:00 by the limits of the cluster profile, got 0:11:00"):
        jobs_for(study, points_of(study), short, tasks_per_node=None, array=False)


@pytest.fixture
def queue(tmp_path, monkeypatch):
    """A queue that gives numbers from 7 on, and tells the states in its files."""
    programs, told = tmp_path / "bin", tmp_path / "states"
    programs.mkdir()
    told.mkdir()
    scripts = {
        "sbatch": f"n=$(($(ls {told} | wc -l) + 7)); touch {told}/$n; echo $n",
        "squeue": f'for a in "$@"; do case $a in --jobs=*) cat {told}/${{a#--jobs=}} ;; esac; done',
    }
    for name, body in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return told


def test_jobs_are_noted_and_tell_how_far_points_are(tmp_path, queue):
    study = read(tmp_path, 'on = "slurm"\nranks = [1, 4]\nrepeats = 2\niterations = 3\nvirtual = 2', stop=STOP)
    points = points_of(study)
    jobs = jobs_for(study, points, ClusterProfile(), tasks_per_node=None, array=True)
    assert list(submit(study, jobs, ClusterProfile())) == ["7", "8"]
    (few, many) = (planned.tasks for planned in jobs)
    (queue / "7").write_text("7_0 RUNNING\n7_1 COMPLETED\n7_2 PENDING\n")
    (queue / "8").write_text("8_0 FAILED\n8_1 TIMEOUT\n")
    (virtual,) = (point for point in points if point.place.is_virtual)
    make(study, [virtual])
    assert [task[0].place.ranks for task in few] == [1, 2, 1]
    (study.folder / few[0][0].name / LOG).touch()
    (study.folder / many[0][0].name / LOG).write_text("noise\nhpcopt: error: data.rows: too few\nsrun: error: 1\n")
    stands = standings(points, study.folder, read_jobs(study.folder), states(read_jobs(study.folder)))
    assert stands[few[0][0].name].stage is Stage.RUNNING
    assert stands[virtual.name].stage is Stage.DONE
    assert (stands[few[2][0].name].stage, stands[few[2][0].name].why) == (Stage.WAITING, "job 7_2, pending")
    assert (stands[many[0][0].name].stage, stands[many[0][0].name].why) == (Stage.FAILED, "data.rows: too few")
    assert stands[many[1][0].name].why == "job 8_1 has ended before it (timeout)"
    assert stands[many[1][0].name].stage is Stage.MISSING
    again = jobs_for(study, [many[0][0]], ClusterProfile(), tasks_per_node=None, array=False)
    assert list(submit(study, again, ClusterProfile())) == ["9"]
    (queue / "9").write_text("9 PENDING\n")
    stands = standings(points, study.folder, read_jobs(study.folder), states(read_jobs(study.folder)))
    assert stands[many[0][0].name].why == "job 9, pending", "its earlier error is forgotten"


def test_in_one_allocation_a_failed_point_is_named_while_the_others_run(tmp_path, queue):
    study = read(tmp_path, 'on = "slurm"\nranks = [1, 4]\nrepeats = 1\niterations = 3', stop=STOP)
    points = points_of(study)
    list(submit(study, jobs_for(study, points, ClusterProfile(), tasks_per_node=None, array=False), ClusterProfile()))
    (queue / "7").write_text("7 RUNNING\n")
    (study.folder / points[0].name / LOG).write_text("hpcopt: error: no\n")
    first, second = standings(points, study.folder, read_jobs(study.folder), {"7": "RUNNING"}).values()
    assert (first.stage, first.why, second.stage) == (Stage.FAILED, "no", Stage.WAITING)
    (study.folder / points[0].name / LOG).write_text("")
    first, _ = standings(points, study.folder, read_jobs(study.folder), {"7": "CANCELLED"}).values()
    assert (first.stage, first.why) == (Stage.FAILED, "ended without a result (job 7: cancelled)")


def test_a_damaged_list_of_jobs_is_told(tmp_path):
    (tmp_path / "jobs.json").write_text('{"jobs": [{"id": 3}]}')
    with pytest.raises(InputError, match=r"jobs\.json: damaged"):
        read_jobs(tmp_path)


FAILING = """\
from dataclasses import dataclass

from hpcopt.solvers.base import register
from hpcopt.solvers.lbfgs import LBFGS


@register("failing")
@dataclass(frozen=True, kw_only=True)
class Failing(LBFGS):
    \"\"\"L-BFGS that fails for one value of a parameter.\"\"\"

    number: int = 0

    def init(self, node, f, w0):
        if self.number == 4:
            raise RuntimeError("number 4 fails on purpose")
        return super().init(node, f, w0)
"""


@pytest.mark.slurm
@requires_slurm
@requires_mpi
def test_an_array_of_six_points_of_which_one_fails(tmp_path, monkeypatch):
    (tmp_path / "failing.py").write_text(FAILING)
    solver = f'"failing"\nfile = "{tmp_path}/failing.py"\nnumber = [1, 2, 3, 4, 5, 6]'
    write_study(tmp_path, 'on = "slurm"\nranks = 2\nrepeats = 1\niterations = 3', stop=STOP, solver=solver)
    with slurm(tmp_path / "it") as cluster:
        # kernels are compiled already: jobs would do it again in a new folder for temporary files
        (cluster.folder / "tmp" / f"hpcopt-{os.getuid()}").symlink_to(place().folder.parent)
        for name, value in cluster.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)

        def scaling(verb, *options):
            return cluster.told(sys.executable, "-m", "hpcopt", "scaling", verb, "study.toml", *options, cwd=tmp_path)

        said = scaling("submit", "--array")
        assert "0 of 6 points are done" in said
        assert (tmp_path / "runs/study/job-1.sbatch").read_text().count("run hpcopt run") == 6
        number = re.search(r"job (\d+): 6 points", said)[1]
        for task in range(6):
            cluster.until(f"{number}_{task}", "COMPLETED", "FAILED")
        told = scaling("status")
        assert told.startswith("5 done, 0 running, 0 waiting, 1 failed, 0 missing"), told
        assert re.search(r"failed +points/failing-number=4/\S+: RuntimeError: number 4 fails on purpose", told)
        again = scaling("submit", "--array")
        assert "5 of 6 points are done" in again
        number = re.search(r"job (\d+): 1 point\n", again)[1]
        cluster.until(f"{number}_0", "FAILED")
    study = read_study(tmp_path / "study.toml")
    assert [row.faults for row in collect(study, points_of(study))] == [""] * 5
