"""Profiles, jobs and their scripts, without SLURM; `test_slurm.py` runs them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hpcopt.batch import queue
from hpcopt.batch.duration import seconds
from hpcopt.batch.job import Command, Job
from hpcopt.batch.profile import ClusterProfile, Limits, read_profile
from hpcopt.batch.script import script
from hpcopt.errors import InputError
from tests.job_scripts import JOBS, job_scripts

ONE = (Command(arguments=("run", "my spec.toml", "--resume")),)
TWO = (*ONE, Command(arguments=("run", "b.toml"), ranks=3, threads=2))


def scripts():
    """Yield a script of every kind."""
    for launcher in ("auto", "srun", "mpiexec"):
        for container in (None, "an image.sif"):
            for requeue in (True, False):
                for array in (True, False):
                    for commands in (None, ONE, TWO):
                        job = Job(name="a", nodes=2, tasks_per_node=4, requeue=requeue, array=array, commands=commands)
                        yield script(job, ClusterProfile(launcher=launcher, container=container, environment=".venv"))


@pytest.mark.parametrize("checker", [["bash", "-n"], ["shellcheck", "-"]], ids=lambda checker: checker[0])
def test_every_script_is_clean(checker):
    if shutil.which(checker[0]) is None:
        pytest.skip(f"no {checker[0]} here")
    for text in scripts():
        done = subprocess.run(checker, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_script_says_what_the_profile_and_the_job_require():
    profile = ClusterProfile(
        partition="long", account="ab12", options=["--mem-per-cpu=2G"], modules=["gcc/13", "openmpi"],
        setup=["source /etc/site.sh"], environment="~/my venv", launcher="srun", srun_mpi="pmix",
    )  # fmt: skip
    lines = script(Job(name="a", nodes=3, time="1-0", commands=ONE, restarts=7), profile).splitlines()
    for wanted in (
        "#SBATCH --nodes=3",
        "#SBATCH --time=1-0",
        "#SBATCH --partition=long",
        "#SBATCH --account=ab12",
        "#SBATCH --mem-per-cpu=2G",
        "module load gcc/13 openmpi",
        "source /etc/site.sh",
        """export PATH="$HOME"/'my venv'/bin:$PATH""",
        "run hpcopt run 'my spec.toml' --resume",
    ):
        assert wanted in lines
    assert any("--mpi=pmix" in line for line in lines)
    assert any('"$restart" -le 7' in line for line in lines)
    assert not any("YOUR_" in line for line in lines)


def test_commands_on_some_of_the_ranks_are_packed_onto_as_few_nodes_as_possible():
    job = Job(name="a", nodes=4, tasks_per_node=8, cpus_per_task=2)
    assert job.places(Command(arguments=("run",))) == (32, 4, 8, 2)
    assert job.places(Command(arguments=("run",), ranks=3)) == (3, 1, 3, 2)
    assert job.places(Command(arguments=("run",), ranks=9)) == (9, 2, 5, 2)
    assert job.places(Command(arguments=("run",), threads=8)) == (8, 4, 2, 8)


@pytest.mark.parametrize(("ranks", "threads"), [(33, 2), (9, 8), (1, 17)])
def test_a_job_refuses_a_command_that_it_has_no_room_for(ranks, threads):
    with pytest.raises(InputError, match="do not fit on 4 nodes"):
        Job(
            name="a", nodes=4, tasks_per_node=8, cpus_per_task=2,
            commands=(Command(arguments=("run",), ranks=ranks, threads=threads),),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("time", "expected"),
    [("90", 5400), ("1:30", 90), ("1:00:00", 3600), ("2-0", 172800), ("1-2:30", 95400), ("0-0:0:5", 5)],
)
def test_times_are_read_as_slurm_reads_them(time, expected):
    assert seconds(time) == expected
    assert Job(name="a", time=time).time == time


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"time": "1h"}, "time: expected a time: minutes, M:S, H:M:S or D-H:M:S, got \"1h\""),
        ({"time": "0:00"}, "time: expected more than 0 seconds"),
        ({"nodes": 0}, "nodes: expected an integer >= 1, got 0"),
        ({"name": "a b"}, "name: expected text without spaces"),
        ({"commands": ()}, "commands: at least one"),
    ],
)  # fmt: skip
def test_a_wrong_job_is_told_in_one_line(keys, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        Job(**{"name": "a", **keys})


def test_limits_refuse_a_larger_job():
    profile = ClusterProfile(limits=Limits(nodes=2, time="1-0"))
    profile.check(Job(name="a", nodes=2, time="24:00:00"))
    with pytest.raises(InputError, match="nodes: at most 2 by the limits of the cluster profile, got 3"):
        profile.check(Job(name="a", nodes=3))
    with pytest.raises(InputError, match="time: at most 1-0"):
        profile.check(Job(name="a", time="24:00:01"))


@pytest.fixture
def clusters(tmp_path, monkeypatch):
    """Write the file of cluster profiles in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPCOPT_CLUSTERS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return (tmp_path / "clusters.toml").write_text


def test_profiles_are_read_by_name(clusters):
    assert read_profile() == ClusterProfile()
    clusters('[a]\npartition = "x"\n[b]\nlimits = { nodes = 2 }\n')
    assert read_profile("a").partition == "x"
    assert read_profile("b").limits.nodes == 2


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("[a]\n[b]\n", None, "clusters.toml: which of its clusters? known: a, b"),
        ("[alpha]\n", "alpa", "clusters.toml: no cluster \"alpa\"; did you mean 'alpha'?; known: alpha"),
        (
            "[a]\n\npartitions = 'x'\n",
            "a",
            "clusters.toml, line 3: a.partitions: unknown key; did you mean 'partition'?",
        ),
        ("[a]\npartition = 'x y'\n", "a", "clusters.toml, line 2: a.partition: expected text without spaces"),
        ("[a]\nlimits.nodes = 0\n", "a", "clusters.toml, line 2: a.limits.nodes: expected an integer >= 1"),
        ("a = 3\n", "a", "clusters.toml, line 1: a: expected a table for each cluster: [a]"),
    ],
)
def test_a_wrong_file_of_profiles_is_told_with_its_line(clusters, text, name, message):
    clusters(text)
    with pytest.raises(InputError) as error:
        read_profile(name)
    assert error.value.message.startswith(message)


def test_without_slurm_one_line_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="there is no sbatch here: SLURM is not installed on this machine"):
        queue.submit(tmp_path / "job.sbatch")


def test_the_scripts_in_jobs_are_those_that_are_made():
    """Else: `python -m tests.job_scripts`."""
    for path, text in job_scripts().items():
        assert path.read_text(encoding="utf-8") == text


def test_the_example_of_profiles_is_right(monkeypatch):
    monkeypatch.setenv("HPCOPT_CLUSTERS", str(JOBS / "clusters.toml"))
    assert read_profile("site").limits.tasks_per_node == 128
    assert read_profile("site-container").container
    assert read_profile("preemptible").partition == "spare"
