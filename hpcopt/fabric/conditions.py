"""The conditions of a run: what a cluster's nodes find when a program begins, and what may differ from run to run."""

from __future__ import annotations

from dataclasses import dataclass

from hpcopt.fabric.heterogeneity import EVEN, Heterogeneity
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What holds from the start of a run to its end; by default there is no network and nothing is unlike.

    What a message costs and how fast a node of speed 1 computes belong to the (virtual) cluster itself.

    Parameters
    ----------
    mixing
        The network between the nodes and its weights, for those who gossip; None where there is none.
    heterogeneity
        Which nodes and links are slow, and when; the same from its start in every run.
    """

    mixing: Mixing | None = None
    heterogeneity: Heterogeneity = EVEN


PLAIN = Conditions()
