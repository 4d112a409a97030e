"""The conditions of a run: everything that may differ between two runs on the same cluster."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.fabric.heterogeneity import EVEN, Heterogeneity
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of a run, fixed from start to end; by default no topology and no heterogeneity.

    The cost of messages and the speed of nodes are properties of the (virtual) cluster itself.

    Parameters
    ----------
    mixing
        The mixing matrix of the topology, for decentralised solvers; None if there is none.
    heterogeneity
        Which nodes and links are slow, and when; every run starts it afresh.
    """

    mixing: Mixing | None = None
    heterogeneity: Heterogeneity = EVEN


PLAIN = Conditions()
