"""A node's place in a hub network: the communicators of its sub-network and of the levels above that it speaks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.group import Group
from hpcopt.fabric.network import Link
from hpcopt.fabric.node import Node
from hpcopt.topology.hubs import HubNetwork, Hubs
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class HubTable(Hubs):
    """The hub network of a cluster: workers under hubs, hubs on a graph, and the cost of its links in virtual time.

    Ranks are numbered hub by hub: a hub, its workers, the next hub. Give `hubs`, `workers_per_hub`, both, or `members`.

    Parameters
    ----------
    follow
        "table": as this table says; "machine": each host is a sub-network, without `hubs`, on MPI ranks only.
    worker_link, hub_link, group_links
        { latency, bandwidth } of the links within a sub-network, between the hubs at the top, and on each level of
        `groups` (virtual). Default: the cluster's; for `groups`, `hub_link`.
    """

    follow: Literal["table", "machine"] = "table"
    worker_link: Link | None = None
    hub_link: Link | None = None
    group_links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {"hubs": self.hubs, "workers_per_hub": self.workers_per_hub, "members": self.members}
        given = next((name for name, value in sizes.items() if value is not None), None)
        if self.follow == "machine" and given is not None:
            raise InputError(f'{given}: follow = "machine" makes the hosts the sub-networks; remove one of the two')
        if self.group_links and len(self.group_links) != len(self.groups):
            raise InputError(
                f"group_links: expected one per level of groups, {len(self.groups)}; got {len(self.group_links)}"
            )

    def on(self, hosts: tuple[int, ...]) -> HubTable:
        """Return the table with the ranks of each host as a sub-network, if it follows the machine."""
        if self.follow == "table":
            return self
        if not hosts:
            raise InputError('follow: "machine" makes the hosts of MPI ranks the sub-networks; virtual nodes have none')
        members = tuple(tuple(rank for rank, host in enumerate(hosts) if host == each) for each in dict.fromkeys(hosts))
        return replace(self, follow="table", members=members)

    def route(self, network: HubNetwork, default: Link) -> Callable[[int, int], Link] | None:
        """Return which link is between two nodes; None if all are alike."""
        top = self.hub_link or default
        links = [self.worker_link or default, *(self.group_links or [top] * len(self.groups)), top]
        if all(link == default for link in links):
            return None
        return lambda a, b: links[network.level_of(a, b)]


class Place:
    """The place of one node; collective over all nodes to make.

    Parameters
    ----------
    node
        With a hub network.
    weight
        w_i, the node's weight in all averages relative to those of the others: its rows, say, or 1; 0 on a hub that
        holds no rows.

    Attributes
    ----------
    network
        The cluster's.
    groups
        The node's group of each level, up to the first in which it isn't the speaker, the first member.
    shares
        The node's weight, or that of the group it speaks for, in each of these groups; they sum to one in a group.
    hubs
        The group of the hubs at the top; None on nodes that are none.
    top_share
        b_d, the weight of the top hub's group among all; 0 on other nodes.
    mixing
        W = H^T, with H the hub matrix for the weights b; None on nodes that aren't at the top, or if it is alone there.
    """

    def __init__(self, node: Node, weight: float) -> None:
        assert node.hubs is not None, "a solver of hub networks requires one"
        network = self.network = node.hubs
        with node.monitoring():
            everyones = node.world.allgather(np.array([weight], dtype=np.float64))
        totals = everyones.once("totals", lambda: _totals(network, [float(w[0]) for w in everyones]))
        weights = totals[0]
        self.groups: list[Group] = []
        self.shares: list[float] = []
        for level, groups in enumerate(network.levels):
            mine = groups[network.paths[node.rank][level]]
            if node.rank in mine:
                self.groups.append(node.group(mine, network.link_classes[level]))
                self.shares.append(weights[node.rank] / (totals[level + 1][mine[0]] or 1.0))
            weights = totals[level + 1]
        whole = everyones.once("whole", lambda: sum(weights.values()))
        self.hubs: Group | None = None
        self.mixing: Mixing | None = None
        self.top_share = 0.0
        if node.rank in network.top:
            self.hubs = node.group(network.top, network.link_classes[-1])
            self.top_share = weights[node.rank] / whole
            shares = [weights[rank] / whole for rank in network.top]
            self.mixing = everyones.once("mixing", lambda: self._mixing(np.array(shares)))
        self.is_hub = node.rank in network.hubs
        node.weight = totals[1].get(node.rank, 0.0) / whole

    def _mixing(self, b: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Mixing | None:
        return self.network.mixing(b) if len(b) > 1 else None

    def meet(self, node: Node, due: int, level: int = 0) -> None:
        """Go on from the slot of the last of the nodes that an average up to the `due`-th level brings together."""
        if level == len(self.network.levels):
            assert self.hubs is not None
            node.slots.meet(self.hubs)
            return
        group = self.groups[level]
        node.slots.meet(group)
        if due > level + 1:
            if group.rank == 0:
                self.meet(node, due, level + 1)
            node.slots.meet(group)


def _totals(network: HubNetwork, weights: list[float]) -> list[dict[int, float]]:
    """Return the weights of the nodes by rank and, for each level, those of its groups by the first member."""
    totals = [dict(enumerate(weights))]
    for groups in network.levels:
        below = totals[-1]
        totals.append({group[0]: sum([below[rank] for rank in group]) for group in groups})
    return totals
