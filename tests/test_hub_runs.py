"""Runs in hub networks from a specification: what they leave, and what is refused."""

from __future__ import annotations

import json

import pytest

from hpcopt.cli.main import main
from hpcopt.runs.start import run
from tests.launch import hpcopt_ranks, requires_mpi

SPECIFICATION = """
[data]
source = "breast-cancer"
scale = "standard"
test_fraction = 0.2
[solver]
name = "multilevel-sgd"
local_steps = 4
hub_period = 2
step_size = 0.1
batch = 8
[cluster]
kind = "virtual"
workers = 12
rates = "few-slow"
[cluster.hubs]
hubs = 3
graph = "path"
[stop]
slots = 64
[output]
timeline = true
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(SPECIFICATION)
    return path


def lines_of(folder):
    return [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("placement", ["colocated", "dedicated"])
def test_a_run_tells_slots_and_bytes_by_level_and_draws_its_network(spec, tmp_path, capsys, placement):
    out = tmp_path / "out"
    assert main(["run", str(spec), "--out", str(out), "--set", f"cluster.hubs.placement={placement}"]) == 0
    told = capsys.readouterr().out
    assert "hub network: 3 hubs on a path, 4 workers each" in told
    assert "operating rates: a step in a time slot with probability 0.1 to 0.6, 0.475 on average" in told
    described, last = json.loads((out / "run.json").read_text()), lines_of(out)[-1]
    assert described["nodes"] == (15 if placement == "dedicated" else 12)
    assert last["slots"] == 64
    links, models = (12 if placement == "dedicated" else 9), 8 * 30
    assert last["bytes_by_link"] == {"worker-hub": 16 * 2 * links * models, "hub-hub": 8 * 4 * models, "world": 0}
    assert last["bytes"] == sum(last["bytes_by_link"].values())
    assert (last["bytes_up"], last["bytes_down"]) == (16 * links * models + 32 * models, 16 * links * models)
    assert last["gradients"] <= 64 * 12
    assert {"convergence.png", "topology.png"} <= {path.name for path in out.iterdir()}
    assert main(["plot", "--timeline", str(out)]) == 0
    assert main(["plot", str(out)]) == 0


def test_each_level_has_its_own_links(spec, tmp_path):
    """A mixing of the hubs takes four messages one after another: up, across both ways at once, down."""

    def seconds(latency):
        link = f"cluster.hubs.hub_link={{ latency = {latency}, bandwidth = 1e15 }}"
        overrides = [link, "output.timeline=false"]
        done = run(spec, overrides=overrides, quiet=True, folder=tmp_path / f"{latency}")
        return done.trace[-1]["seconds"]

    assert seconds(1e-2) - seconds(1e-5) == pytest.approx(8 * (1e-2 - 1e-5), rel=1e-3)


def test_methods_that_wait_are_compared_in_slots(spec, tmp_path):
    text = SPECIFICATION.partition("[solver]")
    solvers = "".join(
        f'[[solvers]]\nname = "{name}"\nstep_size = 0.1\nbatch = 8\n{more}'
        for name, more in [
            ("multilevel-sgd", "local_steps = 4\n"),
            ("hl-sgd", "local_steps = 4\n"),
            ("local-sgd", "local_steps = 4\n"),
            ("sgd", ""),
            ("cooperative-sgd", "local_steps = 4\n"),
        ]
    )
    spec.write_text(text[0] + solvers + "[cluster]" + text[2].partition("[cluster]")[2])
    assert main(["compare", str(spec), "--out", str(tmp_path / "out"), "--set", "stop.iterations=16"]) == 0
    slots = {path.name: lines_of(path)[-1]["slots"] for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert slots["multilevel-sgd"] == 64
    assert all(slots[name] >= 64 for name in ("hl-sgd", "local-sgd", "cooperative-sgd", "sgd"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["cluster.hubs={ workers_per_hub = [4, 0, 8] }"], "workers_per_hub: hub 1 has no workers"),
        (["cluster.hubs={ members = [[0, 1], [1, 2]] }"], "members: node 1 is in sub-networks 0 and 1"),
        (["cluster.hubs={ workers_per_hub = [3, 2] }"], "need 5 workers; there are 12"),
        (["cluster.hubs.groups=[0]"], "groups: level 2 has no groups"),
        (["cluster.hubs.groups=[[3, 0]]"], "groups: group 1 of level 2 has no members"),
        (["cluster.hubs.graph={ name = 'file', path = 'pair.txt' }"], "not connected; node 2"),
        (["cluster.rates=0.0"], "cluster.rates=0.0: expected numbers above 0 and at most 1, got 0"),
        (["cluster.rates=1.5"], "rates"),
        (["cluster.rates=[0.5, 0.5]"], "cluster.rates: expected one for each of the 12 workers, got 2"),
        (["cluster.rates=[0.5, 2.0]"], "expected numbers above 0 and at most 1, got 2"),
        (["cluster.rates=few-fats"], "few-fast"),
        (["solver.hub_period=[2, 2]"], "hub_period: expected a number, or one for each of the 1 level"),
        (["solver.overlap=true"], "placement"),
        (["solver={ name = 'giant' }"], "time slots"),
        (
            [
                "solver={ name = 'giant' }",
                "cluster={ kind = 'virtual', workers = 3, slot = 1.0 }",
                "stop={ rounds = 4 }",
            ],
            "giant makes no steps in time slots; remove it",
        ),
        (["cluster.hubs.placement=dedicated", "solver={ name = 'giant' }", "cluster.rates=1.0"], "giant"),
        (["cluster.hubs.worker_link={ latency = -1.0 }"], "latency"),
        (["cluster.hubs.follow=machine"], 'follow = "machine"'),
        (["cluster.hubs={ follow = 'machine' }"], "virtual nodes have none"),
        (["solver.weights=[1.0, 2.0]"], "weights: expected one for each of the 12 workers, got 2"),
        (["solver.deadline=1e-3"], "operating rates; give one of the two"),
        (["cluster.hubs.group_links=[{ latency = 1.0 }]"], "group_links"),
    ],
)
def test_what_is_wrong_with_a_hub_network_is_told_in_one_line(spec, tmp_path, capsys, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pair.txt").write_text("0 1\n")
    sets = [part for change in changes for part in ("--set", change)]
    assert main(["run", str(spec), "--out", str(tmp_path / "out"), *sets]) == 1
    told = capsys.readouterr().err
    assert told.startswith("hpcopt: error: ")
    assert told.count("\n") == 1
    assert message in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["data.partition=by-label"], True),
        (["data.partition=by-label", "solver.normalise=rates"], False),
        (["data.partition=by-label", "cluster.rates=0.5"], False),
        (["data.partition=by-label", "solver.name=hl-sgd"], False),
        ([], False),
    ],
)
def test_a_hint_tells_whose_mean_workers_of_unequal_rates_and_data_minimise(spec, tmp_path, capsys, changes, told):
    sets = [part for change in changes for part in ("--set", change)]
    assert main(["run", str(spec), "--out", str(tmp_path / "out"), "--set", "stop.slots=4", *sets]) == 0
    hint = 'minimises sum a_i p_i f_i, not sum a_i f_i; normalise = "rates" corrects this'
    assert capsys.readouterr().out.count(hint) == told


@pytest.mark.mpi
@requires_mpi
def test_ranks_that_do_not_fill_the_network_are_told_how_many_do(spec, tmp_path):
    table = 'cluster.hubs={ workers_per_hub = [3, 2], placement = "dedicated" }'
    more = ["--set", "cluster.kind=mpi", "--set", table, "--set", "cluster.rates=1.0"]
    spec.write_text(SPECIFICATION.replace("workers = 12\n", ""))
    done = hpcopt_ranks(3, "run", spec, "--out", tmp_path / "out", *more, timeout=110)
    assert done.returncode != 0
    assert done.stderr.count("hpcopt: error: ") == 1
    assert "7 ranks needed, but the job has 3 ranks" in done.stderr
