"""The conditions of a run: what a cluster's nodes find when a program begins, and what may differ from run to run."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.fabric.heterogeneity import EVEN, Heterogeneity
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions of a run, fixed from start to end; by default no topology and no heterogeneity.

    What a message costs and how fast a node of speed 1 computes belong to the (virtual) cluster itself.

    Parameters
    ----------
    mixing
        The mixing matrix of the topology, for decentralised solvers; None if there is none.
    heterogeneity
        Which nodes and links are slow, and when; the same from its start in every run.
    """

    mixing: Mixing | None = None
    heterogeneity: Heterogeneity = EVEN


PLAIN = Conditions()
