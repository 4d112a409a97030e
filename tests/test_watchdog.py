"""The watchdog names ranks without progress; debugging names ranks that enter different operations."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import hpcopt
from hpcopt.errors import InputError
from hpcopt.fabric.calls import operation, stack
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.host_table import alone
from hpcopt.fabric.matching import Matching
from hpcopt.fabric.processes import state
from hpcopt.fabric.seam import Observer
from hpcopt.fabric.stalls import Seen, report
from hpcopt.fabric.stops import Stops, heed
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.fabric.watchdog import Watchdog
from tests.fake_group import on_processes
from tests.launch import hpcopt_ranks, requires_mpi

BYTES = np.ones(3, np.uint8)
CONFUSED = Path(__file__).parent / "solvers" / "confused.py"


class Held(Observer):
    """Holds a node up in the beginning or the end of an operation until it is let go."""

    def __init__(self, at):
        self.at, self.there, self.go = at, threading.Event(), threading.Event()

    def _hold(self):
        self.there.set()
        self.go.wait(10.0)

    def begin(self, op):  # noqa: ARG002
        if self.at == "begin":
            self._hold()

    def end(self, op, result):  # noqa: ARG002
        if self.at == "end":
            self._hold()


def told_of(use, at="end"):
    """Return what is told of a thread that is held up in an operation, and its stack."""
    held = Held(at)

    def program(node):
        node.seam.attach(held)
        use(node)

    thread = threading.Thread(target=lambda: SoloCluster().run(program))
    thread.start()
    assert held.there.wait(10.0)
    told = operation(thread.ident), stack(thread.ident)
    held.go.set()
    thread.join()
    return told


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda node: node.world.mean(np.ones(5)), "sum of 5 numbers in a group of 1"),
        (lambda node: node.world.broadcast(np.ones(2), 0), "broadcast of 2 numbers from 0 in a group of 1"),
        (lambda node: node.world.gather_varying(np.ones(2)), "gather varying of 2 numbers to 0 in a group of 1"),
        (lambda node: node.world.barrier(), "barrier in a group of 1"),
        (
            lambda node: node.neighbourhood([], []).exchange(np.ones(3, np.uint8)),
            "exchange of 3 bytes with neighbours ",
        ),
        (lambda node: node.window(4).put(np.ones(2), 0), "put of 2 numbers of a window"),
        (lambda node: node.mailbox().take(), "take of a mailbox"),
    ],
)
def test_the_operation_of_a_thread_is_told_from_its_stack(use, words):
    told, calls = told_of(use)
    assert told == words
    assert calls.startswith("threading.py:")
    assert "test_watchdog.py:" in calls


def test_what_holds_up_an_operation_before_it_starts_is_not_a_wait_for_others():
    assert told_of(lambda node: node.world.sum(np.ones(5)), "begin")[0] == "before sum of 5 numbers in a group of 1"


def test_a_thread_outside_of_the_fabric_is_in_no_operation():
    assert operation(threading.get_ident()) == ""
    assert operation(-1) == ""


def seen(rank, **changed):
    usual = {"pid": 1, "round": 5, "age": 20.0, "answers": True, "operation": "sum", "stack": "group.py:66 _sum"}
    return Seen(rank=rank, **{**usual, **changed})


def test_the_report_begins_with_those_who_hold_up_the_others():
    first, *lines = report(
        [
            seen(0),
            seen(1, answers=False, pid=2**30),
            seen(2),
            seen(3, age=0.1),
            seen(4, operation="", stack="solver.py:7 loop", round=4),
            seen(5, round=4),
            seen(6, operation="before sum"),
        ],
        10.0,
    )
    assert first.startswith("watchdog: no progress for 20 s on ")
    assert lines == [
        f"watchdog: rank 1 (process {2**30}) does not answer (state unknown), last seen in round 5: group.py:66 _sum",
        "watchdog: rank 4 (process 1) is in no operation, round 4: solver.py:7 loop",
        "watchdog: rank 6 (process 1) is held up before sum, round 5: group.py:66 _sum",
        "watchdog: rank 3 (process 1) makes progress, round 5",
        "watchdog: rank 5 (process 1) waits in sum, round 4: group.py:66 _sum",
        "watchdog: ranks 0, 2: each waits in sum, round 5: group.py:66 _sum",
    ]
    assert "watchdog: 9 ranks (0, ...): each waits in sum, round 5" in report([seen(r) for r in range(9)], 1.0)[1]


def test_a_stalled_process_is_reported_once_and_so_is_its_going_on(capfd):
    def program(node):
        for _ in range(3):
            node.world.sum(np.ones(1))
            time.sleep(0.02)
        time.sleep(0.6)
        node.world.sum(np.ones(1))
        time.sleep(0.2)

    SoloCluster().run(program, Conditions(watchdog=Watchdog(after=0.25)))
    first, second, last = capfd.readouterr().err.splitlines()
    assert first.startswith("hpcopt: watchdog: no progress for 0.")
    assert "rank 0 (process " in second
    assert "is in no operation, round 4: test_watchdog.py:" in second
    assert last == "hpcopt: watchdog: the run goes on"


def test_work_is_progress_and_zero_turns_the_watchdog_off(capfd):
    def works(node):
        for _ in range(12):
            with node.meter.working(1.0, 0.0):
                time.sleep(0.05)

    SoloCluster().run(works, Conditions(watchdog=Watchdog(after=0.25)))
    SoloCluster().run(lambda _: time.sleep(0.1), Conditions(watchdog=Watchdog(after=0.0)))
    assert threading.active_count() == 1
    assert capfd.readouterr().err == ""


def test_the_table_of_a_specification_is_checked():
    with pytest.raises(InputError, match=r"watchdog.after: expected a number >= 0"):
        hpcopt.run({"solver": {"name": "sgd"}, "watchdog": {"after": -1}})


def meet(*operations):
    """Return what three members are told that do these, one after another; the second one's first."""

    def work(group):
        group._seam.attach(Matching(group.rank))
        group.sum(np.ones(3))
        operations[group.rank == 1](group)

    with pytest.raises(InputError) as caught:
        on_processes(3, work)
    return str(caught.value)


def test_members_in_different_operations_are_named():
    told = meet(lambda group: group.sum(np.ones(3)), lambda group: group.max(np.ones(3)))
    assert re.fullmatch(
        r"the ranks are in different operations: ranks 0, 2 in sum of 24 bytes at test_watchdog.py:\d+; "
        r"rank 1 in max of 24 bytes at test_watchdog.py:\d+",
        told,
    )


def test_sizes_and_roots_have_to_match_where_they_do_in_mpi():
    told = meet(lambda group: group.sum(np.ones(3)), lambda group: group.sum(np.ones(2)))
    assert "rank 1 in sum of 16 bytes" in told
    told = meet(lambda group: group.reduce(np.ones(3), 0), lambda group: group.reduce(np.ones(3), 1))
    assert "rank 1 in reduce of 24 bytes with root 1" in told

    def work(group):
        group._seam.attach(Matching(group.rank))
        group.allgather(np.ones(group.rank))
        group.broadcast_varying(np.ones(group.rank), 1)
        return group.gather_varying(np.ones(group.rank), 0)

    assert [len(part) for part in on_processes(3, work)[0]] == [0, 1, 2]


SPECIFICATION = """
[data]
source = "logistic"
rows = 60
features = 3
[solver]
name = "confused"
[stop]
rounds = 30
"""


def confused(tmp_path, how, *options):
    file = tmp_path / "spec.toml"
    file.write_text(SPECIFICATION)
    given = ["--solver-file", CONFUSED, "--set", f"solver.how={how}", "--out", tmp_path / "out", *options]
    done = hpcopt_ranks(3, "run", file, *given, timeout=40)
    assert done.returncode == 1
    return [line for line in done.stderr.splitlines() if line.startswith("hpcopt: ")]


@pytest.mark.mpi
@requires_mpi
def test_ranks_in_different_operations_end_with_one_line(tmp_path):
    (line,) = confused(tmp_path, "kind", "--debug")
    assert "ranks 0, 2 in sum of 24 bytes at confused.py:" in line
    assert "rank 1 in broadcast of 24 bytes with root 0 at confused.py:" in line


@pytest.mark.mpi
@requires_mpi
def test_a_stopped_rank_is_named_and_the_job_ends(tmp_path):
    *_, first, stopped, waiting, last = confused(
        tmp_path, "stop", "--set", "watchdog.after=1", "--set", "watchdog.abort=true"
    )
    assert first.startswith("hpcopt: watchdog: no progress for ")
    assert "rank 1 (process " in stopped
    assert ") is stopped, last seen in round " in stopped
    assert "ranks 0, 2: each waits in sum of 3 numbers in a group of 3, round 16: " in waiting
    assert "confused.py:" in waiting
    assert last == "hpcopt: error: the watchdog ends the job, as watchdog.abort is true"


@pytest.mark.parametrize(("after", "told"), [(2.0, True), (0.0, False), (9.0, False)])
def test_a_rank_that_is_stopped_outside_a_run_is_named(after, told, capfd):
    table = alone(rank=3)
    other = subprocess.Popen(["sleep", "60"])
    try:
        other.send_signal(signal.SIGSTOP)
        while state(other.pid) != "T":
            time.sleep(0.01)
        table.numbers(0)[0] = other.pid
        heed(Watchdog(after=after, abort=True))
        ends = []
        stops = Stops(table, ends.append)
        for _ in range(3):
            stops.look(0)
        assert ends == [1] * told
        assert ("watchdog: rank 3 (process" in capfd.readouterr().err) is told
        other.send_signal(signal.SIGCONT)
    finally:
        heed(Watchdog())
        other.kill()
        other.wait()
