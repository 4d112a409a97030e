"""Where the nodes of a hub network are drawn: its graph at large, and around each of its nodes those below."""

from __future__ import annotations

import math

import numpy as np

from hpcopt.arrays import Columns, Vector
from hpcopt.topology.base import Layout
from hpcopt.topology.hubs.network import HubNetwork
from hpcopt.topology.layout import circle, places_of

_OWN = 0.45  # part of the distance to the nearest other one that those below a node of the graph may take
_EDGE = 0.92  # part of a sub-network's radius at which its workers stand
_INNER = 0.5  # part of it at which the innermost circle of workers stands, where one circle does not hold them all
_ON_CIRCLE = 30  # workers that one circle holds
_TURNS = 24  # turns of a circle that are tried, to leave room for the links of its centre
_CLOSE = 0.8  # distance of two nodes of the graph, over the mean one of nearest, below which they are moved apart
_MOVES = 300  # rounds of that


def lay_out_hubs(network: HubNetwork) -> Layout:
    """Return where the nodes are drawn: no two parts of the network below nodes of the graph overlap."""
    layout = places_of((network.graph,)) if network.graph.n > 1 else circle(1)
    places = layout.positions if layout.box else _moved_apart(layout.positions)
    positions = np.zeros((network.size, 2))
    radius = _OWN * float(_nearest(places).min())
    first, second = network.graph.arcs()
    for node, group in enumerate(network.levels[-1]):
        links = _angles(places[second[first == node]] - places[node])
        _place(network, len(network.levels) - 1, group, (places[node], radius, links), positions)
    return Layout(positions, layout.box)


def _place(
    network: HubNetwork, level: int, group: tuple[int, ...], disc: tuple[Vector, float, Vector], positions: Columns
) -> None:
    """Put the nodes of a group, and all below them, into a disc: its first one in the centre, the others around.

    Parameters
    ----------
    disc
        Centre, radius, and the angles at which links leave the centre, which those around it avoid.
    """
    centre, radius, links = disc
    if level == 0:
        positions[group[0]] = centre
        positions[list(group[1:])] = centre + radius * _workers(len(group) - 1, links)
        return
    around = len(group) - 1
    spread = 1.0 / math.sin(math.pi / around) if around > 1 else 0.0
    inner = radius / max(3.0, 1.0 + spread) if around else radius
    ways = _turned(around, links)
    below = {members[0]: members for members in network.levels[level - 1]}
    discs = [(centre, np.concatenate([links, _angles(ways)]))]
    discs += [(centre + (radius - inner) * way, _angles(-way[None])) for way in ways]
    for speaker, (place, leaving) in zip(group, discs, strict=True):
        _place(network, level - 1, below[speaker], (place, 2.0 * _OWN * inner, leaving), positions)


def _workers(number: int, links: Vector) -> Columns:
    """Return where workers stand around their hub, shape (number, 2): on a circle, many on several."""
    circles = math.ceil(math.sqrt(number / _ON_CIRCLE)) or 1
    radii = np.linspace(_INNER, _EDGE, circles) if circles > 1 else np.array([_EDGE])
    counts = np.floor(number * radii / radii.sum()).astype(int)
    counts[-1] += number - counts.sum()
    return np.concatenate([r * _turned(int(count), links) for r, count in zip(radii, counts, strict=True)])


def _turned(number: int, links: Vector) -> Columns:
    """Return `number` points on the unit circle, turned so that they keep away from the angles of `links`."""
    if not number:
        return np.zeros((0, 2))
    step = 2.0 * np.pi / number
    angles = 0.5 * np.pi - step * np.arange(number)
    turns = step * np.arange(_TURNS) / _TURNS
    if len(links):
        off = (turns[:, None] + angles[0] - links) % step  # to the next point, of each turn and each link
        turns = turns[[int(np.minimum(off, step - off).min(axis=1).round(9).argmax())]]
    angles = angles + turns[0]
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _angles(ways: Columns) -> Vector:
    angles: Vector = np.arctan2(ways[:, 1], ways[:, 0])
    return angles


def _nearest(places: Columns) -> Vector:
    """Return each place's distance to the nearest other one, shape (n,); 2 where there is one place."""
    from scipy.spatial import cKDTree

    if len(places) == 1:
        return np.array([2.0])
    distances: Columns = cKDTree(places).query(places, k=2)[0]
    return distances[:, 1]


def _moved_apart(places: Columns) -> Columns:
    """Return the places, those that are too close to one another moved apart (springs and random points crowd)."""
    n = len(places)
    nearest = _nearest(places)
    least = _CLOSE * float(nearest.mean())
    moved = places.copy()
    for _ in range(_MOVES if nearest.min() < least else 0):
        step = moved[:, None] - moved
        distance = np.linalg.norm(step, axis=2) + 2.0 * least * np.eye(n)
        push = np.maximum(least - distance, 0.0) / np.maximum(distance, 1e-9)
        if not push.any():
            break
        moved += 0.35 * (push[:, :, None] * step).sum(axis=1)
    return moved
