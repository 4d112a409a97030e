"""A solver whose ranks enter different operations, or whose second rank stops, after the rounds of a warm-up."""

import os
import signal
from dataclasses import dataclass

from hpcopt.solvers.base import Solver, State, register

ROUNDS = 15


@register("confused")
@dataclass(frozen=True, kw_only=True)
class Confused(Solver[State]):
    """Gradient descent that goes wrong.

    Parameters
    ----------
    how
        What rank 1 does instead of the sum: "kind": it broadcasts; "size": it sums one number less; "group": it sums
        in a smaller group; "stop": it stops.
    """

    paper = "none"

    how: str = "kind"

    def init(self, node, f, w0):  # noqa: ARG002
        return State(w0.copy())

    def rounds(self, node, f, s):
        pair = node.group([0, 1]) if node.rank < 2 else None
        while True:
            g = f.at(s.w).gradient * f.share
            if node.rank == 1 and node.ledger.solver.rounds == ROUNDS:
                if self.how == "kind":
                    node.world.broadcast(g)
                elif self.how == "size":
                    node.world.sum(g[:-1])
                elif self.how == "group":
                    pair.sum(g)
                else:
                    os.kill(os.getpid(), signal.SIGSTOP)
            s.w -= node.world.sum(g)
            yield s

    def doubles(self, s, d):  # noqa: ARG002
        return 0
