"""An interrupt ends the program and the job quickly and with one line, whatever it is doing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch import mpiexec, requires_mpi

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "tests" / "ranks" / "interrupted.py"
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
SPECIFICATION = """
[data]
source = "logistic"
rows = 60
features = 3
[solver]
name = "sgd"
[stop]
rounds = 5
"""
PHASES = ["hpcopt.cli.verbs", "hpcopt.runs.start", "MPI comes up", "reading", "solving", "writing"]
KEPT = dict.fromkeys(("solving", "writing"), "; OUT: the trace is kept; there is no result")


@pytest.fixture
def arguments(tmp_path):
    (tmp_path / "spec.toml").write_text(SPECIFICATION)
    return ["run", str(tmp_path / "spec.toml"), "--out", str(tmp_path / "out")]


def alone(phase, number, arguments):
    return subprocess.run(
        [sys.executable, PROGRAM, phase, "0", number, *arguments],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def leaves_nothing_half_done(out):
    if out.exists():
        assert not list(out.rglob("*.part"))
        assert not (out / "model.npz").exists()
        assert json.loads((out / "run.json").read_text())["result"] is None


@pytest.mark.parametrize("phase", PHASES)
def test_alone_it_ends_with_one_line_that_says_what_is_kept(phase, arguments, tmp_path):
    done = alone(phase, "SIGINT", arguments)
    kept = KEPT.get(phase, "").replace("OUT", str(tmp_path / "out"))
    assert done.returncode == 130
    assert done.stderr == f"hpcopt: error: interrupted (SIGINT){kept}\n"
    leaves_nothing_half_done(tmp_path / "out")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_request_to_end_is_an_interrupt(arguments, name, code):
    done = alone("reading", name, arguments)
    assert done.returncode == code
    assert done.stderr == f"hpcopt: error: interrupted ({name})\n"


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize(
    ("phase", "rank"), [*((phase, "0") for phase in PHASES), *((phase, "1") for phase in PHASES if phase != "writing")]
)
def test_a_rank_that_is_interrupted_ends_the_job_with_one_line(phase, rank, arguments, tmp_path):
    ranks = 3 if phase in {"MPI comes up", "solving"} else 2
    done = mpiexec(ranks, sys.executable, PROGRAM, phase, rank, "SIGINT", *arguments, timeout=30, env=ENVIRONMENT)
    told = [line for line in done.stderr.splitlines() if line.startswith("hpcopt")]
    where = " on rank 1" if rank == "1" else ""
    assert done.returncode != 0
    assert [line.partition(";")[0] for line in told] == [f"hpcopt: error: interrupted (SIGINT){where}"]
    assert "Traceback" not in done.stderr
    leaves_nothing_half_done(tmp_path / "out")


def test_a_signal_that_whoever_started_the_program_ignores_stays_ignored(tmp_path):
    program = (
        "import os, signal\n"
        "from hpcopt import interrupts\n"
        "from hpcopt.fabric.job import JOB\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "interrupts.listen(JOB)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True False\n"


TWICE = """
import os, signal, threading, time
from hpcopt import interrupts
from hpcopt.fabric.job import JOB

interrupts._ECHO = float("inf")
interrupts.listen(JOB)
with interrupts.heeding(signal.SIGTERM):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    while not interrupts.asked():
        time.sleep(0.01)
os.kill(os.getpid(), signal.SIGTERM)  # what the first has asked for is done
time.sleep(0.3)
print(*interrupts.asked(), flush=True)
interrupts._ECHO = 0.0
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait()
"""


def test_a_request_that_arrives_twice_is_one_and_a_later_one_ends_the_program():
    done = subprocess.run(
        [sys.executable, "-c", TWICE], env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("SIGTERM\n", 143)


LEAVES = """
import os
import signal
from hpcopt.cli.main import console
if (os.environ.get("OMPI_COMM_WORLD_RANK") or os.environ["PMI_RANK"]) == "1":
    os._exit(0)
console()
"""


@pytest.mark.mpi
@requires_mpi
def test_a_rank_that_ends_before_mpi_is_up_ends_the_job(arguments):
    done = mpiexec(3, sys.executable, "-c", LEAVES, *arguments, timeout=40, env=ENVIRONMENT)
    assert done.returncode != 0
    assert "hpcopt: error: a rank exited before MPI was initialised" in done.stderr


def test_an_interrupt_during_the_imports_has_no_traceback(tmp_path):
    program = (
        "import os, signal, sys\n"
        "sys.meta_path.insert(0, type('Finder', (), {'find_spec': staticmethod(lambda name, *_: "
        "os.kill(os.getpid(), signal.SIGINT) if name == 'hpcopt.cli.main' else None)}))\n"
        "from hpcopt.cli.start import console\n"
        "console()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""
