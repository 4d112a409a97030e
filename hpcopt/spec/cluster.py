"""The table [cluster]: the nodes, their network and topology, and their heterogeneity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from hpcopt.annotations import AtLeastZero, Count, Positive, check_types, named
from hpcopt.errors import InputError
from hpcopt.fabric.calibration import Calibration
from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.fabric.network import Link
from hpcopt.fabric.place import HubTable
from hpcopt.fabric.rates import RATES
from hpcopt.fabric.window import Windows
from hpcopt.topology import TOPOLOGIES


@dataclass(frozen=True, kw_only=True)
class ClusterTable:
    """The nodes, and the network model of the virtual cluster.

    On MPI ranks the keys of the virtual cluster are ignored, so that one file serves both.

    Parameters
    ----------
    kind
        "mpi": the ranks of the job; "virtual": `workers` nodes in one process; "auto": the job's ranks, or, if a
        single process was started and `workers` is set, that many virtual nodes.
    workers
        Number of workers of a virtual cluster: all its nodes but dedicated hubs.
    calibration
        A file that `hpcopt calibrate` has written on a real cluster: the speed of its links, kernels and Python, from
        which the virtual cluster computes its time. `latency`, `bandwidth` and `flops`, where given, replace it.
    latency, bandwidth
        Seconds per message and bytes per second (virtual; on ranks the delays of slow links are relative to this
        bandwidth); default 1e-5 and 1e9.
    flops, speeds
        Floating-point operations per second of a node, default 1e9, and one factor per node if nodes differ (virtual).
    collective
        The algorithm of a reduction in virtual time: "tree" or "star".
    reduction
        Order of sums on MPI ranks: "fast": that of the MPI library; "ordered": rank order, bitwise equal on all
        clusters.
    windows
        Remote memory access between MPI ranks, for asynchronous solvers: "one-sided" operations, "two-sided"
        messages, or "auto": one-sided if a test at the start finds that they work.
    links
        Contention in virtual time: "pairs": none, each pair of nodes has its own link; "ports": all messages of a node
        share one outgoing and one incoming port.
    topology
        The graph of decentralised solvers and its weights: `name` (`hpcopt list topologies`) and its parameters
        (`hpcopt show NAME`), or the name alone; default "ring".
    hubs
        The hub network of solvers that average in sub-networks: workers under hubs.
    rates
        Operating rates: the probability, above 0 and at most 1, with which a worker makes a step in a time slot. A
        number for all workers, a list with one for each, or a distribution: `name` (`hpcopt list rates`) and its
        parameters, or the name alone. Without it every worker makes a step in every slot.
    slot
        Duration of a time slot in seconds; default: that of the worker's step.
    stragglers
        Heterogeneity: nodes and links that are slower than others, permanently or temporarily.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, and for keys that contradict one another.
    """

    kind: Literal["auto", "mpi", "virtual"] = "auto"
    workers: Count | None = None
    calibration: str | None = None
    latency: AtLeastZero | None = None
    bandwidth: Positive | None = None
    flops: Positive | None = None
    speeds: Annotated[tuple[Positive, ...], Meta(min_length=1)] | None = None
    collective: Literal["tree", "star"] = "tree"
    reduction: Literal["fast", "ordered"] = "fast"
    windows: Windows = "auto"
    links: Literal["pairs", "ports"] = "pairs"
    topology: Annotated[str, named(TOPOLOGIES)] | dict[str, Any] | None = None
    hubs: HubTable | None = None
    rates: float | tuple[float, ...] | Annotated[str, named(RATES)] | dict[str, Any] | None = None
    slot: Positive | None = None
    stragglers: Heterogeneity | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.speeds is not None and self.workers is not None and len(self.speeds) != self.workers:
            raise InputError(f"speeds: expected one for each of the {self.workers} workers, got {len(self.speeds)}")
        numbers = (self.rates,) if isinstance(self.rates, (int, float)) else self.rates
        bad = next((rate for rate in numbers if not 0 < rate <= 1), None) if isinstance(numbers, tuple) else None
        if bad is not None:
            raise InputError(f"rates: expected numbers above 0 and at most 1, got {bad:g}")
        nodes = self.nodes()
        stranger = None if nodes is None else self.stranger(nodes)
        if stranger is not None:
            raise InputError(stranger)

    def nodes(self) -> int | None:
        """Return how many nodes a cluster of so many `workers` has; None if no number of workers is given."""
        return self.workers if self.hubs is None else self.hubs.nodes_for(self.workers)

    def links_are_measured(self, calibration: Calibration) -> bool:
        """Return whether messages take as long as in the calibration: it has links, and no key here replaces them."""
        measured = calibration.between is not None or calibration.within is not None
        return measured and self.latency is None and self.bandwidth is None

    def link(self, calibration: Calibration | None = None) -> Link:
        """Return the link between two nodes: of the keys, else of the calibration, else the default."""
        known = None if calibration is None else calibration.between or calibration.within
        default = Link() if known is None else Link(known.latency, known.bandwidth)
        return Link(
            default.latency if self.latency is None else self.latency,
            default.bandwidth if self.bandwidth is None else self.bandwidth,
        )

    def rates_table(self) -> dict[str, Any] | tuple[float, ...] | None:
        """Return the rates as a list with one for each worker or as the table of a distribution."""
        if isinstance(self.rates, (int, float)):
            return {"name": "fixed", "rate": self.rates}
        return {"name": self.rates} if isinstance(self.rates, str) else self.rates

    def stranger(self, size: int) -> str | None:
        """Return an error message for the first configured node outside 0 .. size - 1; None if there is none."""
        stranger = None if self.stragglers is None else self.stragglers.stranger(size)
        return stranger and f"stragglers.{stranger}"
