"""Runs on real ranks that are cut short in the middle of writing a record go on to the same bits as uninterrupted ones.

Arguments: a folder, and the names of solvers.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import hpcopt
from hpcopt.errors import AgreedError
from hpcopt.results import checkpoints
from hpcopt.runs import execute
from hpcopt.runs.recorder import Recorder
from hpcopt.solvers import SOLVERS
from tests.test_checkpoints import every, setting

folder, names = Path(sys.argv[1]), sys.argv[2:] or [name for name in SOLVERS if SOLVERS[name].needs.pace == "rounds"]
execute._draw = lambda *_: None
tell = Recorder.tell


def start(place, tables, **options):
    return hpcopt.run({**tables, "cluster": {"reduction": "ordered"}}, folder=place, force=True, **options)


def cut_short(place, tables, count):
    def counted(self, record):
        tell(self, record)
        if len(self.records) == count:  # on all ranks, as each keeps the records
            raise AgreedError("cut short")

    Recorder.tell = counted
    try:
        start(place, tables)
    except AgreedError:
        Recorder.tell = tell
        return
    raise AssertionError("not cut short")


def ending(place):
    """Return what a run has left, apart from times."""
    described = json.loads((place / "run.json").read_text())
    records = [json.loads(line) for line in (place / "trace.jsonl").read_text().splitlines()]
    with np.load(place / "model.npz") as model:
        arrays = {name: model[name].tobytes() for name in model.files}
    return [{**record, "seconds": 0.0} for record in records], arrays, {**described["result"], "seconds": 0.0}


for name in names:
    tables = setting(name)
    whole, cut = folder / name / "whole", folder / name / "cut"
    expected = start(whole, tables)
    chance = random.Random(name)
    period, last = chance.randint(1, 4), len(expected.records) - 1
    cut_short(cut, every(period, tables), chance.randint(min(period + 2, last), last))
    had = checkpoints.whole(cut)
    MPI.COMM_WORLD.Barrier()
    resumed = start(cut, tables, resume=True)
    assert ending(cut) == ending(whole), name
    assert [part["iteration"] for part in resumed.described.get("resumed", [])] == had, name
    assert not (cut / "checkpoint").exists() or MPI.COMM_WORLD.rank, name
    if MPI.COMM_WORLD.rank == 0:
        print(name, "from", *had, flush=True)
