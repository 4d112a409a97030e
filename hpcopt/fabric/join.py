"""The cluster of a job: the ranks that were started together, or the one process that is alone."""

from __future__ import annotations

from typing import Any

from hpcopt.errors import InputError
from hpcopt.fabric.cluster import Cluster
from hpcopt.fabric.launch import bring_up, refuse_singletons, started
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.fabric.window import Windows


def join(
    comm: Any = None, *, seed: int = 0, ordered: bool = False, windows: Windows = "auto", bandwidth: float = 1e9
) -> Cluster:
    """Return the cluster of this job's ranks: those of `comm` (default the world), or one node without MPI.

    Parameters
    ----------
    comm
        An mpi4py communicator; it is duplicated.
    seed
        Keys the nodes' random streams.
    ordered
        Whether reductions add in rank order.
    windows
        How ranks make windows.
    bandwidth
        Bytes a second, from which the delays of slow links are reckoned.

    Raises
    ------
    InputError
        If several processes were started and MPI cannot be loaded, or if each of them is alone.
    """
    try:
        bring_up()
    except (ImportError, RuntimeError) as error:
        if started()[0] > 1:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"{started()[0]} processes were started, but MPI cannot be loaded ({reason}); "
                "install one: pip install 'hpcopt[mpich]'"
            ) from None
        return SoloCluster(seed)
    refuse_singletons()
    from hpcopt.fabric.mpi.cluster import MPICluster

    return MPICluster(comm, seed=seed, ordered=ordered, windows=windows, bandwidth=bandwidth)
