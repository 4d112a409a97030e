"""Injected faults: their grammar, and what each does, on virtual nodes and on real ranks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import hpcopt
from hpcopt.errors import InputError
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.faults import FORMS, faults_from
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.fabric.wall.solo import SoloCluster
from tests.launch import hpcopt_ranks, requires_mpi

PHASES = ("read", "solve")
SPECIFICATION = {
    "data": {"source": "logistic", "rows": 60, "features": 3},
    "solver": {"name": "sgd"},
    "cluster": {"kind": "virtual", "workers": 3},
    "stop": {"rounds": 8},
}


def on(cluster, program, *texts):
    return cluster.run(program, Conditions(faults=faults_from(texts, PHASES)))


def run(*texts, **tables):
    return hpcopt.run({**SPECIFICATION, **tables}, inject=texts)


@pytest.mark.parametrize(
    "text",
    [
        "kill:rank=2,round=5",
        "kill:rank=1,phase=read",
        "pause:rank=1,round=3,seconds=0.5",
        "slow:rank=0,factor=5",
        "slow:rank=0,factor=5,from=3",
        "drop-link:from=0,to=1,round=4",
        "corrupt:from=1,to=0,round=4",
    ],
)
def test_every_kind_is_read(text):
    (fault,) = faults_from([text], PHASES)
    assert fault.text == text
    assert fault.kind == text.partition(":")[0]


def test_the_values_are_those_given():
    pause, slow, link = faults_from(
        ["pause:rank=1,round=3,seconds=0.5", "slow:rank=2,factor=5,from=7", "drop-link:from=4,to=1,round=6"], PHASES
    )
    assert (pause.rank, pause.round, pause.seconds) == (1, 3, 0.5)
    assert (slow.rank, slow.factor, slow.round) == (2, 5.0, 7)
    assert (link.source, link.target, link.round, link.ranks) == (4, 1, 6, (4, 1))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("explode:rank=1", "expected kill, pause, slow, drop-link, corrupt"),
        ("kill", "rank is missing"),
        ("kill:rank=2", "one of round and phase is needed"),
        ("kill:rank=2,round=1,phase=read", "one of round and phase is needed"),
        ("kill:rank=2,phase=dinner", "phase: expected one of read, solve, got dinner"),
        ("kill:rank=2,round=0", "round: expected an integer >= 1, got 0"),
        ("kill:rank=two,round=1", "rank: expected an integer >= 0, got two"),
        ("kill:rank=1,rank=2,round=1", "rank is given twice"),
        ("kill:rank=1,seconds=2", 'no key "seconds"'),
        ("kill:1", '"1" is not KEY=VALUE'),
        ("pause:rank=1,round=3,seconds=-1", "seconds: expected a number >= 0, got -1"),
        ("slow:rank=1,factor=0.5", "factor: expected a number >= 1, got 0.5"),
        ("corrupt:from=1,to=1,round=3", "from and to are the same node"),
    ],
)
def test_what_is_no_fault_is_refused_with_the_form_that_is_right(text, why):
    with pytest.raises(InputError) as caught:
        faults_from([text], PHASES)
    told = str(caught.value)
    assert told.startswith(f'inject: "{text}": ')
    assert why in told
    kind = text.partition(":")[0]
    assert told.endswith(FORMS.get(kind, "its keys"))


def test_a_cluster_refuses_what_it_cannot_have():
    with pytest.raises(InputError, match="no node 3: nodes are numbered from 0 to 2"):
        run("kill:rank=3,round=5")
    with pytest.raises(InputError, match="virtual nodes share one process; give round instead of phase"):
        run("kill:rank=1,phase=read")


@pytest.mark.parametrize(("text", "told"), [("slow:rank=0,factor=2,from=8", False), ("kill:rank=1,round=9", True)])
def test_a_fault_whose_round_never_comes_is_named_when_the_run_has_ended(text, told, capfd):
    run(text)
    line = f"hpcopt: inject: did not happen, as the run has ended after 8 rounds: {text}\n"
    assert capfd.readouterr().err == line * told


def test_a_paused_virtual_node_makes_the_others_wait():
    def program(node):
        for _ in range(3):
            node.world.sum(np.ones(1))
        return node.now()

    cluster = VirtualCluster(3)
    plain, paused = on(cluster, program), on(cluster, program, "pause:rank=1,round=2,seconds=5")
    assert [now - before for now, before in zip(paused, plain, strict=True)] == pytest.approx([5.0, 5.0, 5.0])


def test_a_slow_node_takes_longer_from_its_round_on():
    def program(node):
        seconds = []
        for _ in range(3):
            begun = node.now()
            node.world.sum(np.ones(1))
            with node.meter.working(1e9, 0.0):
                pass
            seconds.append(round(node.now() - begun))
        return seconds

    assert on(VirtualCluster(2), program, "slow:rank=1,factor=5,from=2")[1] == [1, 5, 5]


def test_a_resumed_node_is_not_slowed_twice_and_without_the_fault_not_at_all():
    def slowed(node):
        node.world.sum(np.ones(1))
        return node.pace.factor, node.snapshot()

    def resumed(node):
        node.restore(snapshot)
        node.world.sum(np.ones(1))
        return node.pace.factor

    ((factor, snapshot),) = on(VirtualCluster(1), slowed, "slow:rank=0,factor=5")
    assert factor == 5.0
    assert on(VirtualCluster(1), resumed, "slow:rank=0,factor=5") == [5.0]
    assert on(VirtualCluster(1), resumed) == [1.0]


def test_a_dropped_link_is_named_where_its_message_is_waited_for():
    def reduces(node):
        return node.world.reduce(np.ones(1), root=0)

    with pytest.raises(InputError, match="node 0 waits forever: the link from node 2 to node 0 is dropped"):
        on(VirtualCluster(3), reduces, "drop-link:from=2,to=0,round=1")
    assert on(VirtualCluster(3), reduces, "drop-link:from=0,to=2,round=1")[0] == [3.0]  # no data go that way

    def exchanges(node):
        ring = sorted({(node.rank - 1) % 4, (node.rank + 1) % 4})
        links = node.neighbourhood(ring, ring)
        return [links.exchange(np.zeros(8, dtype=np.uint8)) for _ in range(3)]

    with pytest.raises(InputError, match="node 1 waits forever: the link from node 0 to node 1 is dropped"):
        on(VirtualCluster(4), exchanges, "drop-link:from=0,to=1,round=2")
    assert len(on(VirtualCluster(4), exchanges, "drop-link:from=0,to=2,round=2")) == 4  # not neighbours

    with pytest.raises(InputError, match="node 0 waits forever: the link from node 0 to node 2 is dropped"):
        on(VirtualCluster(3), lambda node: write_to(node, 2), "drop-link:from=0,to=2,round=1")
    on(VirtualCluster(3), lambda node: write_to(node, 1), "drop-link:from=0,to=2,round=1")


def write_to(node, target):
    window = node.window(1)
    window.count_round()
    if node.rank == 0:
        window.put(np.ones(1), target)


def test_a_mailbox_loses_the_messages_of_a_dropped_link():
    def program(node):
        box = node.mailbox()
        for value in (1, 2, 3):
            box.count_round()
            if node.rank == 0:
                box.send(1, np.full(1, value, dtype=np.uint8))
        return [int(message[0]) for _, message in box.drain()]

    assert on(VirtualCluster(2), program, "drop-link:from=0,to=1,round=2")[1] == [1]


def test_a_corrupted_message_differs_once_and_only_at_its_target():
    def program(node):
        group, ring = node.world, sorted({(node.rank - 1) % 3, (node.rank + 1) % 3})
        links = node.neighbourhood(ring, ring)
        told = []
        for _ in range(2):
            sums = group.sum(np.ones(2)).tolist()
            parts = [float(part[0]) for part in group.allgather(np.ones(1))]
            mail = [bytes(message) for message in links.exchange(np.zeros(9, dtype=np.uint8))]
            told.append((sums, parts, mail))
        return told

    def rounds(n):
        return on(VirtualCluster(3), program, f"corrupt:from=0,to=1,round={n}")

    plain = on(VirtualCluster(3), program)
    sums, parts, mail = rounds(1), rounds(2), rounds(3)
    assert sums[1][0][0] != plain[1][0][0]
    assert parts[1][0][1][0] != 1.0
    assert parts[1][0][1][1:] == [1.0, 1.0]  # from the others
    assert mail[1][0][2] == [bytes(7) + b"\xff\x00", bytes(9)]
    for changed in (sums, parts, mail):
        assert (changed[0], changed[2]) == (plain[0], plain[2])
        assert changed[1][1] == plain[1][1]  # it happens once


def test_a_corrupted_run_does_not_end_as_if_nothing_had_been():
    plain, corrupted = run(), run("corrupt:from=0,to=1,round=3")
    assert not plain.diverged
    assert corrupted.diverged


def test_a_synchronous_run_ends_with_the_node_that_left():
    with pytest.raises(InputError, match="node 2 has left in round 5"):
        run("kill:rank=2,round=5")


def test_an_asynchronous_run_goes_on_without_the_node_that_left():
    done = run("kill:rank=2,round=5", solver={"name": "dsgd-aau"}, stop={"iterations": 40})
    assert done.result["iterations"] >= 30
    left = run("kill:rank=0,round=2", "kill:rank=1,round=2", "kill:rank=2,round=2", solver={"name": "dsgd-aau"})
    assert left.status.name == "LEFT"


def test_faults_neither_strike_in_the_warm_up_nor_while_measuring():
    def program(node):
        with node.monitoring():
            node.world.sum(np.ones(1))
        return node.pace.factor

    assert on(SoloCluster(), program, "slow:rank=0,factor=5") == [1.0]


def test_the_faults_are_listed_in_run_json(tmp_path):
    fault = "slow:rank=0,factor=5"
    hpcopt.run(SPECIFICATION, folder=tmp_path / "out", inject=[fault])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["faults"] == [fault]
    hpcopt.run(SPECIFICATION, folder=tmp_path / "sound")
    assert "faults" not in json.loads((tmp_path / "sound" / "run.json").read_text())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(
        '[data]\nsource = "logistic"\nrows = 60\nfeatures = 3\n[solver]\nname = "sgd"\n[stop]\nrounds = 8\n'
    )
    return path


@pytest.mark.parametrize("fault", ["kill:rank=0,round=3", "kill:rank=0,phase=write"])
def test_a_killed_process_is_killed_by_sigkill(fault, file, tmp_path):
    command = [sys.executable, "-m", "hpcopt", "run", file, "--out", tmp_path / "out", "--quiet", "--inject", fault]
    assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "model.npz").exists()


@pytest.mark.mpi
@requires_mpi
def test_faults_on_ranks(file, tmp_path):
    out = tmp_path / "out"
    faults = ["pause:rank=1,round=2,seconds=0.3", "corrupt:from=0,to=1,round=5"]
    options = [option for fault in faults for option in ("--inject", fault)]
    done = hpcopt_ranks(2, "run", file, "--out", out, *options)
    assert done.returncode == 3, done.stderr
    told = json.loads((out / "run.json").read_text())
    assert told["faults"] == faults
    assert told["result"]["status"] == "diverged"
    assert told["result"]["rounds"] == 5
    assert told["result"]["seconds"] >= 0.3
