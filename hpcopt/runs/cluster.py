"""From a specification to the cluster that it describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hpcopt.capacity import ask
from hpcopt.errors import AgreedError, InputError, Remedy
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.heterogeneity import EVEN
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.fabric.job import abort_on_error
from hpcopt.fabric.join import join
from hpcopt.fabric.launch import started
from hpcopt.fabric.measured_network import MeasuredNetwork
from hpcopt.fabric.network import Network
from hpcopt.fabric.stops import heed
from hpcopt.fabric.virtual.cluster import VirtualCluster
from hpcopt.runs.hubs import hub_network, rates_by_rank, shared_hub_network
from hpcopt.runs.topology import connected
from hpcopt.solvers.outside import file_of
from hpcopt.spec.calibration_file import read_calibration
from hpcopt.spec.specification import Specification, as_toml_dict

_NODE = 10_000  # bytes per virtual node without rows, at least


@contextmanager
def opened(read: Callable[[], Specification], comm: Any = None) -> Iterator[tuple[Specification, Cluster, Conditions]]:
    """Open the cluster of a specification, close it at the end, and end the whole job if one rank fails meanwhile.

    Yields the specification, its cluster and the conditions of its runs.

    Parameters and errors as in `open_cluster`.
    """
    with abort_on_error():
        spec, cluster = open_cluster(read, comm)
        heed(spec.watchdog)
        with closing(cluster), one_thread(cluster):
            mixing = connected(spec, cluster) if spec.needs_topology else None
            hubs = shared_hub_network(spec, cluster)
            if hubs is not None:
                cluster.holders = hubs.workers
            yield (
                spec,
                cluster,
                Conditions(
                    mixing=mixing,
                    hubs=hubs,
                    heterogeneity=spec.cluster.stragglers or EVEN,
                    rates=rates_by_rank(spec, hubs, cluster.size),
                    slot=spec.cluster.slot,
                    watchdog=spec.watchdog,
                ),
            )


@contextmanager
def one_thread(cluster: Cluster) -> Iterator[None]:
    """Restrict BLAS to one thread if several nodes share the machine; a single node keeps its threads."""
    if cluster.size == 1:
        yield
        return
    with threadpool_limits(1):
        yield


def open_cluster(read: Callable[[], Specification], comm: Any = None) -> tuple[Specification, Cluster]:
    """Read the specification on every process and return it with its cluster.

    Parameters
    ----------
    read
        Reads and checks the specification; called on each process.
    comm
        An mpi4py communicator; default all ranks of the job.

    Raises
    ------
    InputError
        Any error of `read`, agreed on by all processes; a virtual cluster on several processes; a number of workers
        that differs from the job's.
    """
    if comm is None and started()[0] == 1:
        spec = read()
        return spec, _virtual(spec) if _is_virtual(spec) else _ranks(spec, None)
    processes = join(comm)
    try:
        with agreed(processes.processes):
            spec = read()
            if _is_virtual(spec) and processes.size > 1:
                raise InputError(
                    f"cluster.kind: a virtual cluster runs in one process, but {processes.size} ranks were started",
                    Remedy.RANKS,
                )
        _compare_notes(spec, processes.processes)
    finally:
        processes.close()
    return spec, _virtual(spec) if _is_virtual(spec) else _ranks(spec, comm)


def _compare_notes(spec: Specification, processes: Group) -> None:
    """Raise an error if ranks have read different specifications or solvers (stale copies on a network file system)."""
    loaded = [file for file in (file_of(type(solver)) for solver in spec.built) if file is not None]
    files = {Path(file.path).name: file.sha256 for file in loaded}
    notes = {"specification": as_toml_dict(spec), " or ".join(files): files}
    own = [hashlib.sha256(json.dumps(note, sort_keys=True).encode()).digest() for note in notes.values()]
    digests = processes.allgather(np.frombuffer(b"".join(own), dtype=np.uint8))
    for what, first, *others in zip(notes, *(digest.reshape(len(notes), -1) for digest in digests), strict=True):
        different = [rank for rank, other in enumerate(others, start=1) if not np.array_equal(other, first)]
        if different:
            raise AgreedError(f"rank {different[0]} has read a different {what} than rank 0: is it the same file?")


def _is_virtual(spec: Specification) -> bool:
    """Return whether the nodes are virtual; with kind "auto", `workers` means virtual nodes in a single process."""
    cluster = spec.cluster
    return cluster.kind == "virtual" or (cluster.kind == "auto" and cluster.workers is not None and started()[0] == 1)


def _virtual(spec: Specification) -> Cluster:
    asked = spec.cluster
    if asked.workers is None:
        raise InputError('cluster.workers: missing; kind = "virtual" requires it', Remedy.WORKERS)
    nodes = asked.nodes() or asked.workers
    ask(nodes * _NODE, f"cluster.workers: {nodes:,} nodes")
    calibration = None if asked.calibration is None else read_calibration(asked.calibration)
    link = asked.link(calibration)
    route, speeds = None, asked.speeds
    if asked.hubs is not None:
        network = hub_network(asked.hubs, nodes, spec.seed)
        route = asked.hubs.route(network, link)
        if speeds is not None:  # one for each worker; hubs that are none have speed 1
            of_workers = dict(zip(network.workers, speeds, strict=True))
            speeds = tuple(of_workers.get(rank, 1.0) for rank in range(nodes))
    if calibration is not None and route is None and asked.links_are_measured(calibration):
        links: Network = MeasuredNetwork(calibration=calibration)
    else:
        links = Network(link.latency, link.bandwidth, asked.collective, asked.links, route=route)
    return VirtualCluster(nodes, links, flops=asked.flops, calibration=calibration, speeds=speeds, seed=spec.seed)


def _ranks(spec: Specification, comm: Any) -> Cluster:
    asked = spec.cluster
    ordered = asked.reduction == "ordered"
    cluster = join(comm, seed=spec.seed, ordered=ordered, windows=asked.windows, bandwidth=asked.link().bandwidth)
    nodes = asked.nodes()
    if nodes is not None and nodes != cluster.size:
        cluster.close()
        told = f"cluster.workers: {asked.workers} requested"
        if nodes != asked.workers:
            told = f"cluster.hubs: {nodes} ranks needed"
        raise AgreedError(
            f'{told}, but the job has {cluster.size} ranks; start {nodes} of them, or set cluster.kind = "virtual"'
        )
    stranger = spec.cluster.stranger(cluster.size)
    if stranger is not None:
        cluster.close()
        raise AgreedError(f"cluster.{stranger}")
    return cluster
