"""Local SGD (FedAvg with all nodes): SGD steps on each node's own shard, then one average of the models.

The first-order analogue of LocalNewton and its baseline in the paper, which averages once per local epoch with a batch
of one. Where workers have operating rates, a round lasts until the slowest has made its steps. McMahan et al. 2017
(arXiv 1602.05629); Stich 2019 (arXiv 1805.09767).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.batches import shuffled_rows
from hpcopt.solvers.parts.step_size import Schedule, StepSize, asks, check_step_size, resolve


@dataclass
class LocalSGDState(State):
    """The model and counters of what was sent."""

    steps: int = 0  # local steps taken so far
    means: int = 0
    schedule: Schedule | None = None


@register("local-sgd")
@dataclass(frozen=True, kw_only=True)
class LocalSGD(Solver[LocalSGDState]):
    """Local SGD (FedAvg): SGD steps on each shard, one average of the models per round.

    Parameters
    ----------
    local_steps
        Steps between two means; 0 = one epoch of the local shard.
    batch
        Rows per step; 0 = all of the shard.
    step_size
        A number, a table { initial, decay, power } over local steps, "c/L", or "auto": 1/L, L the largest smoothness of
        a row's loss.
    weights
        Weights of the mean: "equal" (1/K) or "rows" (n_k/n).
    """

    needs = Needs(rates=True, rowless=True)
    paper = "McMahan et al. 2017, arXiv 1602.05629; Stich 2019, arXiv 1805.09767"
    floor = "constant step size: gap proportional to the step size, the local steps and the gradient variance"
    randomised = True

    local_steps: int = 0
    batch: int = 1
    step_size: StepSize = "auto"
    weights: Literal["equal", "rows"] = "equal"

    def __post_init__(self) -> None:
        at_least(0, local_steps=self.local_steps, batch=self.batch)
        check_step_size(self.step_size)
        one_of(("equal", "rows"), weights=self.weights)

    def init(self, node: Node, f: Oracle, w0: Vector) -> LocalSGDState:  # noqa: ARG002
        return LocalSGDState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: LocalSGDState) -> Iterator[LocalSGDState]:
        s.schedule = s.schedule or resolve(self.step_size, node, f)
        batch = min(self.batch or f.n, f.n)
        count = self.local_steps or (-(-f.n // batch) if f.n else 0)
        weight = f.share if self.weights == "rows" else float(f.n > 0) / node.workers
        while True:
            w = s.w
            if f.n:
                draws = node.draws(Draw.BATCH, s.steps)
                rows = shuffled_rows(draws, f.n, batch * count if self.local_steps else f.n)
                with node.slots.until(count):
                    w = f.sgd(w, rows, batch, s.schedule.sizes(s.steps, count))
            node.slots.meet(node.world)
            s.steps += count
            s.w = node.world.mean(w, weight=weight)
            s.means += 1
            yield s

    def doubles(self, s: LocalSGDState, d: int) -> int:
        return s.means * d + asks(self.step_size)
