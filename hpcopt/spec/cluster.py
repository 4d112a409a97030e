"""The table [cluster]: the nodes, their network and topology, and their heterogeneity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from hpcopt.annotations import AtLeastZero, Count, Positive, check_types, named
from hpcopt.errors import InputError
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.window import Windows
from hpcopt.topology import TOPOLOGIES


@dataclass(frozen=True, kw_only=True)
class ClusterTable:
    """The nodes and, on the virtual cluster, their network.

    Keys of the virtual cluster pass on MPI ranks, so that one file serves both.

    Parameters
    ----------
    kind
        "mpi": the ranks of the job; "virtual": `workers` nodes in one process; "auto": the job's ranks.
    workers
        Number of nodes of a virtual cluster.
    latency, bandwidth
        Seconds a message, bytes a second (virtual; on ranks slow links are so much slower than this bandwidth).
    flops, speeds
        Work a second of a node, and factors of it, one a node, where nodes differ (virtual).
    collective
        How a reduction's messages travel in virtual time: "tree" or "star".
    reduction
        "fast": the MPI library's; "ordered": in rank order, equal to the last bit on any cluster.
    windows
        How ranks of MPI reach into each other's memory, for asynchronous solvers: by its "one-sided" operations, by
        "two-sided" messages, or, "auto", by the former where a test at the start finds that they work.
    links
        What messages share in virtual time: "pairs", nothing, each pair of nodes has a link of its own; "ports", the
        one way out of a node and the one way into a node.
    topology
        The graph of decentralised solvers and its weights: `name` (`hpcopt list topologies`) and its parameters
        (`hpcopt show NAME`), or the name alone; default "ring".
    stragglers
        Nodes and links that are slower than others, always or now and then.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, and for keys that contradict one another.
    """

    kind: Literal["auto", "mpi", "virtual"] = "auto"
    workers: Count | None = None
    latency: AtLeastZero = 1e-5
    bandwidth: Positive = 1e9
    flops: Positive = 1e9
    speeds: Annotated[tuple[Positive, ...], Meta(min_length=1)] | None = None
    collective: Literal["tree", "star"] = "tree"
    reduction: Literal["fast", "ordered"] = "fast"
    windows: Windows = "auto"
    links: Literal["pairs", "ports"] = "pairs"
    topology: Annotated[str, named(TOPOLOGIES)] | dict[str, Any] | None = None
    stragglers: Heterogeneity | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.speeds is not None and self.workers is not None and len(self.speeds) != self.workers:
            raise InputError(f"speeds: expected one for each of the {self.workers} workers, got {len(self.speeds)}")
        stranger = None if self.workers is None else self.stranger(self.workers)
        if stranger is not None:
            raise InputError(stranger)

    def stranger(self, size: int) -> str | None:
        """Return what is wrong with the first node named in the tables that is none of `size`; None if all are."""
        stranger = None if self.stragglers is None else self.stragglers.stranger(size)
        return stranger and f"stragglers.{stranger}"
