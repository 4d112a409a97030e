"""The cluster of a job: the ranks that were started together, or a single process."""

from __future__ import annotations

from typing import Any

from hpcopt.errors import InputError
from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.job import bring_up, refuse_singletons
from hpcopt.fabric.launch import started
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.fabric.window import Windows


def join(
    comm: Any = None, *, seed: int = 0, ordered: bool = False, windows: Windows = "auto", bandwidth: float = 1e9
) -> Cluster:
    """Return the cluster of this job: the ranks of `comm` (default: the world), or one node without MPI.

    Parameters
    ----------
    comm
        An mpi4py communicator; it is duplicated.
    seed
        Seed of the nodes' random streams.
    ordered
        Whether reductions add in rank order.
    windows
        How windows are implemented on ranks.
    bandwidth
        Bytes per second, from which the delays of slow links are computed.

    Raises
    ------
    InputError
        If several processes were started but MPI cannot be loaded, or each has an MPI world of size 1.
    """
    try:
        bring_up()
    except (ImportError, RuntimeError) as error:
        if started()[0] > 1:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{started()[0]} processes were started, but MPI cannot be loaded ({reason}); "
                "install an MPI library: pip install 'hpcopt[mpich]'"
            ) from None
        return SoloCluster(seed)
    refuse_singletons()
    from hpcopt.fabric.mpi.cluster import MPICluster

    return MPICluster(comm, seed=seed, ordered=ordered, windows=windows, bandwidth=bandwidth)
