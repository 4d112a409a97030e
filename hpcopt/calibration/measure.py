"""Measures everything about a cluster, and describes what it was measured on."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from dataclasses import fields

import numpy as np

from hpcopt.calibration import kernels, network, overhead
from hpcopt.fabric.calibration import Calibration, Kernels, Measured, Overhead
from hpcopt.fabric.interface import Cluster
from hpcopt.fabric.launch import mpi_library
from hpcopt.fabric.meter import Storage
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.runs.cluster import one_thread
from hpcopt.runs.environment import by_host, told_by_all
from hpcopt.version import __version__

ALONE = 2  # virtual nodes on which solvers' own code is measured if there is one rank


def calibrate(cluster: Cluster, *, quick: bool = False) -> Calibration:
    """Return the speed of the cluster of MPI ranks, or of the only process; the same on all ranks, collective.

    Parameters
    ----------
    quick
        Whether to use smaller data and fewer repeats.
    """
    group = cluster.processes
    begun = time.perf_counter()
    with one_thread(cluster):
        samples = kernels.measured(group, quick=quick)
        for own in samples.values():  # the median of the ranks
            seconds = np.array(group.allgather(np.array([sample.seconds for sample in own])))
            own[:] = [s._replace(seconds=float(t)) for s, t in zip(own, np.median(seconds, axis=0), strict=True)]
        within, between = network.measured(cluster, quick=quick)
        nodes = cluster if cluster.size > 1 else VirtualCluster(ALONE)
        solvers = overhead.measured(nodes, between or within, quick=quick)
    names = [field.name for field in fields(Overhead)]
    common = {name: float(np.median([getattr(own, name) for own in solvers.values()])) for name in names}
    hosts = cluster.hosts()
    return Calibration(
        measured=Measured(
            machine=_words(by_host(told_by_all(group))),
            when=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            ranks=len(hosts),
            hosts=len(set(hosts)),
            ranks_per_host=max(Counter(hosts).values()),
            seconds=time.perf_counter() - begun,
            versions=f"hpcopt {__version__}, {mpi_library() or 'no MPI'}",
        ),
        dense=_kernels(samples, "dense"),
        sparse=_kernels(samples, "sparse"),
        overhead=Overhead(**common),
        solvers=solvers,
        within=within,
        between=between,
    )


def _kernels(samples: kernels.Samples, storage: Storage) -> Kernels:
    return Kernels(**{kind: kernels.fitted(own, kind) for (where, kind), own in samples.items() if where == storage})


def _words(hosts: list[dict[str, object]]) -> str:
    """Return the machine in words: how many hosts of which processor, and the cores of a rank."""
    kinds = Counter(f"{host['cpu']}, {host['logical_cores']} cores" for host in hosts)
    return "; ".join(f"{count} x {kind}" for kind, count in kinds.items())
