"""Asynchronous runs on real ranks stop for checkpoints and start again, and go on from the last one: nothing is lost.

Arguments: a folder, and the names of solvers.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from mpi4py import MPI

import hpcopt
from hpcopt.results import checkpoints
from hpcopt.runs import execute

MORE = {
    "dsgd-aau": {"compressor": {"name": "qsgd"}},
    "agp": {"ahead": 3},
}
COLUMNS = "seconds", "iteration", "gradients", "bytes", "messages", "work"
execute._draw = lambda *_: None


def start(place, name, iterations, **options):
    tables = {
        "data": {"source": "logistic", "rows": 90, "features": 5},
        "solver": {"name": name, **MORE.get(name, {})},
        "cluster": {"topology": "complete"},
        "stop": {"iterations": iterations},
        "checkpoint": {"every": 15},
        "output": {"record_seconds": 0.01},
    }
    return hpcopt.run(tables, folder=place, **options)


def states(place):
    """Return the iteration of the last checkpoint, and every node's state."""
    (iteration,) = checkpoints.whole(place)
    there = checkpoints.place_of(place, iteration)
    files = checkpoints.manifest_of(there).files
    nodes = [node for rank in range(len(files)) for node in checkpoints.state_in(there, rank, files).values()]
    return iteration, [node["state"] for node in nodes]


def check(place, name, run):
    iteration, kept = states(place)
    steps, discarded = (sum(state[key] for state in kept) for key in ("steps", "discarded"))
    assert iteration == max(state["iteration"] for state in kept)
    assert run.result["iterations"] <= iteration
    assert run.records[-1].gradients == steps
    if "mass" in kept[0]:
        assert np.isclose(sum(state["mass"][-1] for state in kept), len(kept))
    if "participations" in kept[0]:
        assert {state["participations"] for state in kept} == {steps - discarded}
        assert len({(state["iteration"], state["epoch"]) for state in kept}) == 1
    if name == "dsgd-aau":
        for here, state in enumerate(kept):
            for there, mine in zip(state["copies"]["neighbours"], state["copies"]["mine"], strict=True):
                other = kept[there]["copies"]
                assert np.array_equal(mine, other["theirs"][other["neighbours"].index(here)])
    for before, after in pairwise(run.records):
        assert all(getattr(before, column) <= getattr(after, column) for column in COLUMNS), (before, after)
    return steps


folder, names = Path(sys.argv[1]), sys.argv[2:]
for name in names:
    first = start(folder / name, name, 100)
    MPI.COMM_WORLD.Barrier()
    steps = check(folder / name, name, first)
    second = start(folder / name, name, 200, resume=True)
    MPI.COMM_WORLD.Barrier()
    assert second.records[: len(first.records)] == first.records, name
    assert second.records[-1].objective < second.records[0].objective, name
    assert check(folder / name, name, second) > steps, name
    described = json.loads((folder / name / "run.json").read_text())
    assert len(described["resumed"]) == 1
    if MPI.COMM_WORLD.rank == 0:
        print(name, steps, flush=True)
