"""Hub networks: workers under hubs, hubs perhaps under the groups of higher levels, the top level on a graph.

The paper (Castiglia, Das, Patterson, "Multi-Level Local SGD", ICLR 2021) has two levels: workers average at their hub,
hubs mix with their neighbours by the matrix H. Here the hubs may form groups, the groups further groups (node, rack,
site), and those who speak for the groups of the last level mix. Like all of this room, hub networks are functions of
sizes, parameters and a seed, and know numbers of nodes only.

    level 0   sub-networks   hub + workers, averaged at the hub
    level 1   groups of hubs, averaged at the first hub of each; and so on
    top       the first of each group of the last level, on a graph: z <- H z
"""

from hpcopt.topology.hubs.matrix import hub_matrix
from hpcopt.topology.hubs.network import HubNetwork, Level, Placement
from hpcopt.topology.hubs.table import Hubs

__all__ = ["HubNetwork", "Hubs", "Level", "Placement", "hub_matrix"]
