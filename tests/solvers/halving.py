"""Gradient descent with a given step size: an external solver."""

from dataclasses import dataclass

from hpcopt.solvers.base import Solver, State, register


@dataclass
class HalvingState(State):
    means: int = 0


@register("halving")
@dataclass(frozen=True, kw_only=True)
class Halving(Solver[HalvingState]):
    """Gradient descent with the step size 1/2.

    Parameters
    ----------
    step
        The step size.
    """

    paper = "Cauchy 1847"
    fit_defaults = {"step": 0.75}  # noqa: RUF012

    step: float = 0.5

    def init(self, node, f, w0):  # noqa: ARG002
        return HalvingState(w=w0.copy())

    def rounds(self, node, f, s):
        while True:
            s.w = s.w - self.step * node.world.mean(f.at(s.w).gradient, weight=f.share)
            s.means += 1
            yield s

    def doubles(self, s, d):
        return s.means * d
