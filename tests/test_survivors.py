"""A rank that is killed is named by another one before the launcher ends the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from hpcopt.fabric import host_table, survivors
from hpcopt.fabric.lingering import Lingering
from tests.launch import hpcopt_ranks, requires_mpi


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def two_ranks(sleeper):
    """Return the table of this process, rank 0, and of another one, rank 1."""
    memory = host_table.mmap.mmap(-1, 2 * 4096)
    other = host_table.HostTable(memory, 1, 2, rank=1)
    other.numbers(1)[0] = sleeper.pid
    return host_table.HostTable(memory, 0, 2, rank=0), other


def watched(table, capfd):
    """Return what is told, and how the job ends, once the next rank has been killed."""
    ended, codes = threading.Event(), []

    def end(code):
        codes.append(code)
        ended.set()

    survivors.watch(table, end, None)
    os.kill(table.pid(1), signal.SIGKILL)
    return ended.wait(1.0), codes, capfd.readouterr().err


def test_a_killed_process_is_reported_and_the_job_ends(sleeper, capfd, monkeypatch):
    monkeypatch.setattr(survivors, "GRACE", 0.0)
    monkeypatch.setattr(survivors, "kept", lambda: ["out: the trace is kept"])
    table, _ = two_ranks(sleeper)
    ended, codes, told = watched(table, capfd)
    assert ended
    assert codes == [137]
    assert told.startswith(f"hpcopt: error: rank 1 (process {sleeper.pid} on ")
    assert told.endswith(") was killed by SIGKILL; out: the trace is kept\n")


def test_it_is_reported_where_the_system_cannot_wake_the_watch(sleeper, capfd, monkeypatch):
    monkeypatch.setattr(survivors, "GRACE", 0.0)
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    table, _ = two_ranks(sleeper)
    assert "was killed by SIGKILL" in watched(table, capfd)[2]


def test_a_process_that_ends_by_itself_is_not_reported(sleeper, capfd, monkeypatch):
    monkeypatch.setattr(survivors, "GRACE", 0.0)
    table, other = two_ranks(sleeper)
    other.say_end()
    threading.Timer(0.2, table.say_end).start()
    ended, codes, told = watched(table, capfd)
    assert (ended, codes, told) == (False, [], "")


def test_one_process_of_a_host_reports(sleeper):
    table, other = two_ranks(sleeper)
    assert other.claim()
    assert not other.claim()
    assert not table.claim()
    other.write("é" * 5000)
    assert set(table.text(1)) <= {"é", "\ufffd"}
    other.write("short")
    assert (table.text(1), table.text(0), table.rank(1)) == ("short", "", 1)


def test_connections_are_held_until_the_rank_has_been_dead_for_a_moment():
    program = (
        "import os, sys\n"
        "from hpcopt.fabric.lingering import Lingering\n"
        "held = Lingering('2')\n"
        "if sys.argv[1] == 'ends': held.end()\n"
        "os.kill(os.getpid(), 9)\n"
    )

    def is_held(how):
        process = subprocess.Popen([sys.executable, "-c", program, how], stdout=subprocess.PIPE)
        process.wait()
        os.set_blocking(process.stdout.fileno(), False)
        held = process.stdout.read() is None  # nothing to read, but not at its end
        process.stdout.close()
        return held

    assert is_held("dies")
    assert not is_held("ends")


def test_nothing_is_held_under_other_launchers():
    Lingering("").end()


@pytest.mark.mpi
@requires_mpi
@pytest.mark.parametrize(("rank", "fault"), [(2, "kill:rank=2,round=5"), (0, "kill:rank=0,phase=write")])
def test_a_killed_rank_is_named_and_what_is_kept(rank, fault, tmp_path):
    file, out = tmp_path / "spec.toml", tmp_path / "out"
    file.write_text(
        '[data]\nsource = "logistic"\nrows = 60\nfeatures = 3\n[solver]\nname = "sgd"\n[stop]\nrounds = 8\n'
    )
    done = hpcopt_ranks(3, "run", file, "--out", out, "--inject", fault)
    assert done.returncode not in {0, 1}
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hpcopt")]
    assert line.startswith(f"hpcopt: error: rank {rank} (process ")
    assert line.endswith(f"; {out}: the trace is kept; there is no result")
