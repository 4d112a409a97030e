"""The hub network of the nodes that remain when others have left."""

from __future__ import annotations

from collections.abc import Collection

from hpcopt.errors import InputError
from hpcopt.topology.hubs.network import HubNetwork, Level
from hpcopt.topology.without import graphs_without, nodes_in_words


def hubs_without(network: HubNetwork, lost: Collection[int]) -> HubNetwork:
    """Return the hub network of the nodes that remain, renumbered in their order.

    The next worker of a colocated hub takes its place, on all levels. The workers of a dedicated hub join the
    sub-network before theirs (those of the first hub, the next one). Groups without members vanish, and the others stay
    connected: see `graphs_without`.

    Parameters
    ----------
    lost
        The nodes that have left; at least one worker remains.

    Raises
    ------
    InputError
        If no hub remains, or a dedicated hub without workers.
    """
    groups = [[rank for rank in group if rank not in lost] for group in network.levels[0]]
    if network.placement == "dedicated":
        groups = _adopted(network, groups)
    levels: list[Level] = []
    speakers = {old[0]: group[0] if group else None for old, group in zip(network.levels[0], groups, strict=True)}
    for place, level in enumerate(network.levels):
        if place:
            groups = [[new for old in group if (new := speakers[old]) is not None] for group in level]
            speakers = {old[0]: group[0] if group else None for old, group in zip(level, groups, strict=True)}
        levels.append(tuple(tuple(group) for group in groups if group))
    vanished = [place for place, group in enumerate(groups) if not group]
    kept = [rank for rank in range(network.size) if rank not in lost]
    numbers = {rank: number for number, rank in enumerate(kept)}
    return HubNetwork(
        network.placement,
        tuple(tuple(tuple(numbers[rank] for rank in group) for group in level) for level in levels),
        graphs_without([network.graph], vanished)[0],
        network.name,
        network.rule,
    )


def _adopted(network: HubNetwork, groups: list[list[int]]) -> list[list[int]]:
    """Return the sub-networks after the workers of lost hubs have joined others."""
    headed = [bool(group) and group[0] == old[0] for old, group in zip(network.levels[0], groups, strict=True)]
    if not any(headed):
        raise InputError(f"no hub remains: {nodes_in_words(network.hubs)} have left")
    first = headed.index(True)
    adopted: list[list[int]] = [group if has_hub else [] for group, has_hub in zip(groups, headed, strict=True)]
    for place, group in enumerate(groups):
        if not headed[place]:
            adopted[max((p for p in range(place) if headed[p]), default=first)] += group
    alone = next((group[0] for group in adopted if len(group) == 1), None)
    if alone is not None:
        raise InputError(f"hub {alone} has no workers left")
    return adopted
