"""The faults of a run: read, checked against its cluster, and made at the beginning of a phase."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import get_args

from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.faults import Fault, check_ranks, faults_from
from hpcopt.fabric.interface import Cluster
from hpcopt.runs.phases import Phase


def injected(texts: Iterable[str], cluster: Cluster) -> tuple[Fault, ...]:
    """Return the faults that the texts describe; collective over the processes.

    Raises
    ------
    AgreedError
        If a text is not a fault, or if the cluster cannot have it.
    """
    with agreed(cluster.processes):
        faults = faults_from(texts, get_args(Phase))
        check_ranks(faults, cluster.size, virtual=cluster.kind == "virtual")
    return faults


def striker(faults: Iterable[Fault], cluster: Cluster) -> Callable[[str], None]:
    """Return what is called at the beginning of each phase, with its name: it kills this process if it is its turn."""
    phases = {fault.phase for fault in faults if fault.phase and fault.rank == cluster.local_nodes[0]}

    def strike(phase: str) -> None:
        if phase in phases:
            os.kill(os.getpid(), signal.SIGKILL)

    return strike
