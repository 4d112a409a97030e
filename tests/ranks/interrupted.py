"""A command of which one rank gets a signal at a given moment and then blocks, as in a long call."""

import importlib.abc
import os
import signal
import sys
import threading

from hpcopt.cli.main import console
from hpcopt.fabric import job

PHASE, RANK = sys.argv[1], sys.argv[2]
NUMBER = signal.Signals[sys.argv[3]]
sys.argv[1:4] = []


def strike():
    names = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
    if next((os.environ[name] for name in names if name in os.environ), "0") == RANK:
        os.kill(os.getpid(), NUMBER)
        threading.Event().wait()


def before(owner, name):
    """Send the signal when `owner.name` is called."""
    healthy = getattr(owner, name)

    def struck(*arguments, **options):
        strike()
        return healthy(*arguments, **options)

    setattr(owner, name, struck)


class Importing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):  # noqa: ARG002
        if name == PHASE:
            strike()


if PHASE == "MPI comes up":
    before(job, "senseless")  # what is called last before it
elif PHASE == "reading":
    import hpcopt.runs.prepare

    before(hpcopt.runs.prepare, "load")
elif PHASE == "solving":
    import hpcopt.runs.execute

    before(hpcopt.runs.execute, "drive")
elif PHASE == "writing":
    import numpy as np

    before(np, "savez")  # into an open file
else:
    sys.meta_path.insert(0, Importing())
console()
