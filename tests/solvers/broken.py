"""Gradient descent that breaks six rules of the contract between solvers and the driver."""

from dataclasses import dataclass

import numpy as np

from hpcopt.solvers.base import Solver, State, register


@dataclass
class BrokenState(State):
    means: int = 0


@register("broken")
@dataclass(frozen=True, kw_only=True)
class Broken(Solver[BrokenState]):
    """Gradient descent with a step size of 1/2, without a paper."""

    def init(self, node, f, w0):  # noqa: ARG002
        state = BrokenState(w=w0.copy())
        w0 *= 0.5  # what all nodes start from
        return state

    def rounds(self, node, f, s):
        g = np.ones(f.d)
        while np.linalg.norm(g) > 1e-3:  # stops before the optimum
            g = node.world.mean(f.at(s.w).gradient, weight=f.share)
            s.means += 1
            s.w = s.w - 0.5 * g + 1e-15 * node.rank  # a different model on each node
            yield s

    def doubles(self, s, d):
        return s.means * (d + 1)  # one too many per round
