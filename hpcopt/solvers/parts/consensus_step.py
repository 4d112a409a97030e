"""gamma, the consensus step size of compressed gossip: given, from theory, or found by trial.

Its largest stable value depends on the compressor and the topology; the value from theory is safe but impractically
small.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.compression import Compressor
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.solvers.parts.gossip import Gossip, GossipState
from hpcopt.topology.mixing import Mixing

Gamma = float | Literal["auto", "theory"]

HALF, LONGEST_HALF = 10, 100  # gossip steps between two measurements of the disagreement; a trial is two halves
HALVINGS = 20
NEARLY_ALL = 0.9  # of a normal vector's squared norm: with compressors that preserve less, gossip may fail late


def check_gamma(gamma: Gamma) -> None:
    """Raise an error for a gamma that is neither in (0, 1] nor "auto" or "theory"."""
    if gamma in {"auto", "theory"}:
        return
    if not isinstance(gamma, (int, float)) or not 0.0 < gamma <= 1.0:
        raise InputError(f'gamma: expected a number above 0 and at most 1, "auto" or "theory"; got {gamma!r}')


def theory(mixing: Mixing, delta: float) -> float:
    """Return rho^2 delta / (16 rho + rho^2 + 4 beta^2 + 2 rho beta^2 - 8 rho delta), for which CHOCO-Gossip contracts.

    The value of Koloskova, Stich and Jaggi 2019 (arXiv 1902.00340), quoted from memory; rho the spectral gap,
    beta = ||I - W||_2, delta the compressor's contraction.
    """
    rho, beta = mixing.gap, mixing.beta if mixing.symmetric else 2.0  # the largest possible norm of I - W
    return rho**2 * delta / (16 * rho + rho**2 + 4 * beta**2 + 2 * rho * beta**2 - 8 * rho * delta)


def resolve_gamma(gamma: Gamma, node: Node, gossip: Gossip, compressor: Compressor, d: int, s: GossipState) -> float:
    """Return the number that `gamma` stands for.

    "auto" begins at min(1, max(2 delta, delta'/2)), where delta' is the fraction of a normal vector's squared norm that
    the compressor preserves, and halves that until gossip alone contracts random vectors on this topology with this
    compressor. If delta' is below 0.9 it takes half of the accepted value: too large a gamma may fail only after
    thousands of steps. The messages are recorded in the ledger and counted in `s`.
    """
    if isinstance(gamma, (int, float)):
        return float(gamma)
    delta = compressor.contraction(d)
    if delta == 1.0 or node.size == 1:
        return 1.0
    if delta is None:  # not known to be contractive; the user has overridden the check
        delta = 1.0 / (2.0 + (compressor.variance(d) or 0.0))
    if gamma == "theory":
        return theory(gossip.mixing, delta)
    s.reduced += 1
    kept = float(node.world.max(np.array([_kept_of_noise(compressor, d)]))[0])  # the same number on all nodes
    half = int(np.clip(np.ceil(2.0 / kept), HALF, LONGEST_HALF))
    trial = min(1.0, max(2.0 * delta, 0.5 * kept))
    for _ in range(HALVINGS):
        if _contracts(trial, half, node, gossip, d, s):
            break
        trial /= 2.0
    return trial if kept >= NEARLY_ALL else 0.5 * trial


def _kept_of_noise(compressor: Compressor, d: int) -> float:
    """Return 1 - ||C(v) - v||^2 / ||v||^2 of a normal vector, the same one on all nodes."""
    v: Vector = np.random.Generator(np.random.Philox(key=0)).standard_normal(d)
    lost = compressor.decode(compressor.encode(v), np.empty(d)) - v
    return max(1.0 - float(lost @ lost) / float(v @ v), 1e-6)


def _contracts(gamma: float, half: int, node: Node, gossip: Gossip, d: int, s: GossipState) -> bool:
    """Return whether the disagreement of random vectors falls in both halves of a trial; the same on all nodes."""
    x: Vector = node.draws(Draw.PROBE).standard_normal(d)
    z, surroundings = np.zeros(d), np.zeros(d)
    mean = node.world.mean(x)
    s.reduced += d
    left = [_disagreement(node, x - mean, s)]
    for _ in range(2):
        for _ in range(half):
            own, mixed = gossip.send(x - z, s.probed, Draw.PROBE)
            z += own
            surroundings += mixed
            x += gamma * (surroundings - z)
            s.probed += 1
        left.append(_disagreement(node, x - mean, s))
    return bool(left[2] < left[1] < left[0]) or left[2] <= 1e-20 * left[0]


def _disagreement(node: Node, x: Vector, s: GossipState) -> float:
    s.reduced += 1
    return float(node.world.sum(np.array([x @ x]))[0])
