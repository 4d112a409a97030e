"""How numbers of hubs, workers and groups become groups of ranks, contiguous from rank 0."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpcopt.errors import InputError
from hpcopt.topology.hubs.network import Level, counted


def evenly(total: int, parts: int) -> tuple[int, ...]:
    """Return the sizes of `parts` parts of `total`, as equal as possible, larger ones first."""
    size, rest = divmod(total, parts)
    return (size + 1,) * rest + (size,) * (parts - rest)


def split(ranks: Sequence[int], sizes: Sequence[int]) -> Level:
    """Return `ranks` in groups of these sizes, in order."""
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return tuple(tuple(ranks[end - size : end]) for size, end in zip(sizes, ends, strict=True))


def default_hubs(nodes: int, own: int) -> int:
    """Return the largest number of hubs with as many workers each that `nodes` nodes can be, at least 1.

    Parameters
    ----------
    own
        1 if hubs are nodes of their own, 0 if they are workers.
    """
    return max(1, (math.isqrt(own + 4 * nodes) - own) // 2)  # the largest h with h^2 + own h <= nodes


def check_members(members: Level, own: int) -> None:
    """Refuse sub-networks that do not have each node, from 0 on, exactly once.

    Raises
    ------
    InputError
        See above, and for a sub-network without a hub or without workers.
    """
    if not members:
        raise InputError("members: expected at least one sub-network, its hub first, got none")
    home: dict[int, int] = {}
    for place, group in enumerate(members):
        if not group:
            raise InputError(f"members: sub-network {place} has no members")
        if len(group) <= own:
            raise InputError(f"members: sub-network {place} has no workers; dedicated hub {group[0]} needs at least 1")
        for rank in group:
            if rank in home:
                where = (
                    f"sub-networks {home[rank]} and {place}" if home[rank] != place else f"sub-network {place} twice"
                )
                raise InputError(f"members: node {rank} is in {where}; a worker has one hub")
            home[rank] = place
    absent = next((rank for rank in range(len(home)) if rank not in home), None)
    if absent is not None:
        raise InputError(f"members: node {absent} is in no sub-network; expected each of the nodes 0 to {max(home)}")


def levels_above(hubs: Sequence[int], groups: Sequence[int | Sequence[int]]) -> tuple[Level, ...]:
    """Return the levels above the sub-networks.

    Parameters
    ----------
    hubs
        Their ranks.
    groups
        For each level the number of its groups, or how many members each group has.

    Raises
    ------
    InputError
        For a level without groups, a group without members, and numbers that do not fit the level below.
    """
    levels: list[Level] = []
    below = list(hubs)
    for level, given in enumerate(groups, start=2):
        sizes = _sizes(given, len(below), level)
        levels.append(split(below, sizes))
        below = [group[0] for group in levels[-1]]
    return tuple(levels)


def _sizes(given: int | Sequence[int], below: int, level: int) -> Sequence[int]:
    """Return how many members each group of a level has, of `below` in all."""
    noun = "hub" if level == 2 else f"level-{level - 1} group"
    if given in {0, ()}:
        raise InputError(f"groups: level {level} has no groups; expected at least 1")
    if isinstance(given, int):
        if given > below:
            raise InputError(
                f"groups: {given} groups of level {level} need at least {counted(given, noun)}; there are {below}"
            )
        return evenly(below, given)
    if 0 in given:
        raise InputError(f"groups: group {given.index(0)} of level {level} has no members; expected at least 1")
    if sum(given) != below:
        raise InputError(f"groups: the groups of level {level} need {counted(sum(given), noun)}; there are {below}")
    return given
