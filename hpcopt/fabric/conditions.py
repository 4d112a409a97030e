"""The conditions of a run: everything that may differ between two runs on the same cluster."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.fabric.departures import Remaining
from hpcopt.fabric.faults import Fault
from hpcopt.fabric.heterogeneity import EVEN, Heterogeneity
from hpcopt.fabric.watchdog import UNWATCHED, Watchdog
from hpcopt.topology.hubs import HubNetwork
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of a run, fixed from start to end; by default no topology and no heterogeneity.

    The cost of messages and the speed of nodes are properties of the (virtual) cluster itself.

    Parameters
    ----------
    mixing
        The mixing matrix of the topology, for decentralised solvers; None if there is none.
    hubs
        The hub network, for solvers that average in sub-networks; None if there is none.
    heterogeneity
        Which nodes and links are slow, and when; every run starts it afresh.
    rates
        The operating rate of each node, shape (size,), in (0, 1]: the probability that it makes a step in a time slot.
        None if every worker makes a step in every slot.
    slot
        Seconds that a time slot lasts; None: as long as a step of the node.
    faults
        The faults to inject.
    watchdog
        What happens when nodes make no progress; by default nothing.
    survives
        Whether the other nodes go on when some leave or die: operations then raise `NodesLost`.
    remaining
        The nodes of the run that are left, after some have gone; None: all.
    """

    mixing: Mixing | None = None
    hubs: HubNetwork | None = None
    heterogeneity: Heterogeneity = EVEN
    rates: tuple[float, ...] | None = None
    slot: float | None = None
    faults: tuple[Fault, ...] = ()
    watchdog: Watchdog = UNWATCHED
    survives: bool = False
    remaining: Remaining | None = None


PLAIN = Conditions()
