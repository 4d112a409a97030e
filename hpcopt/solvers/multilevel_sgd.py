"""Multi-Level Local SGD (MLL-SGD): workers under hubs, hubs on a graph, and nobody waits for a slow worker.

    for each round r:                                                   Algorithm 1
        worker i of hub d:   x^(i) <- y^(d)
            tau times:       x^(i) <- x^(i) - eta g(x^(i))              with probability p_i, else nothing
        hub d:               z^(d) <- sum_i v_i x^(i)
            r mod q = 0:     y^(d) <- sum_j H_jd z^(j)                  else y^(d) <- z^(d)

A sub-network averages after tau slots however many steps each worker has made. The mean u = sum_i a_i x^(i) moves by
-eta sum_i a_i g_i in each slot and by nothing else. Castiglia, Das, Patterson 2021 (arXiv 2007.13819). The hub matrix H
is that of the paper, H b = b; the authors' code averages hubs one after another instead, and first after one round.

Special cases: one hub is `local-sgd`, with tau = 1 `sgd`; a complete hub graph with workers that are waited for is
`hl-sgd`; a hub for each worker and q = 1 is `cooperative-sgd`.

Extensions of ours, off by default: networks of more levels, `normalise`, `deadline`, `post_local`, the outer
optimiser, `compressor`, `overlap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from hpcopt.arrays import Vector
from hpcopt.checks import at_least, one_of
from hpcopt.compression.identity import Identity
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.parts.batches import shuffled_rows
from hpcopt.solvers.parts.multilevel import MultilevelSolver, MultilevelState
from hpcopt.solvers.parts.step_size import StepSize, asks, check_step_size, resolve


@register("multilevel-sgd")
@dataclass(frozen=True, kw_only=True)
class MultilevelSGD(MultilevelSolver):
    """Multi-Level Local SGD: SGD steps at each worker, averages in sub-networks, mixing between hubs.

    Parameters
    ----------
    batch
        Rows per step; 0 = all of the shard.
    step_size
        eta: a number, a table { initial, decay, power } over slots, "c/L", or "auto": 1/L, L the largest smoothness of
        a row's loss.
    normalise
        Correction for workers of unequal rates with heterogeneous data, where slow workers count too little: "none";
        "rates": step size eta / p_i; "steps": the change of a round is multiplied by tau over the number of steps made,
        as in FedNova.
    """

    paper = "Castiglia, Das, Patterson 2021, arXiv 2007.13819"
    floor = "constant step size: gap proportional to the step size, the gradient variance, and tau and q squared"

    batch: int = 32
    step_size: StepSize = "auto"
    normalise: Literal["none", "rates", "steps"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, batch=self.batch)
        check_step_size(self.step_size)
        one_of(("none", "rates", "steps"), normalise=self.normalise)
        if self.deadline and self.normalise == "rates":
            raise InputError('normalise: "rates" requires time slots; with a deadline use "steps"')

    @property
    def favours_fast(self) -> bool:
        """Whether workers count by their operating rates: nobody waits for slow ones, and no step is normalised."""
        return not (self.waits or self.deadline) and self.normalise == "none"

    def prepare(self, node: Node, f: Oracle, s: MultilevelState) -> None:
        if s.schedule is None:
            s.schedule = resolve(self.step_size, node, f)
            s.reduced += asks(self.step_size)

    def local_work(self, node: Node, f: Oracle, s: MultilevelState, slots: int) -> Vector:
        batch = min(self.batch or f.n, f.n)
        if self.deadline:
            return self._until_deadline(node, f, s, batch)
        with node.slots.until(slots) if self.waits else node.slots.of(slots) as steps:
            if not steps:
                return s.w
            rows = shuffled_rows(node.draws(Draw.BATCH, s.slots), f.n, batch * steps)
            x = f.sgd(s.w, rows, batch, self._sizes(node, s, steps))
        return self._normalised(s.w, x, slots / steps)

    def _sizes(self, node: Node, s: MultilevelState, steps: int) -> Vector:
        """Return the step sizes, (steps,), eta / p_i where rates are normalised."""
        assert s.schedule is not None, "found by `prepare`"
        sizes = s.schedule.sizes(s.slots, steps)
        return sizes / (node.slots.rate or 1.0) if self.normalise == "rates" else sizes

    def _until_deadline(self, node: Node, f: Oracle, s: MultilevelState, batch: int) -> Vector:
        x, made = s.w, 0
        for made, _ in enumerate(node.slots.within(self.deadline), start=1):
            rows = shuffled_rows(node.draws(Draw.BATCH, node.slots.steps, made), f.n, batch)
            x = f.sgd(x, rows, batch, self._sizes(node, s, 1))
        return self._normalised(s.w, x, self.local_steps / made) if made else x

    def _normalised(self, start: Vector, x: Vector, factor: float) -> Vector:
        """Return where the worker would be after tau such steps, if steps are normalised."""
        return start + factor * (x - start) if self.normalise == "steps" else x


@register("hl-sgd")
@dataclass(frozen=True, kw_only=True)
class HLSGD(MultilevelSGD):
    """Hierarchical Local SGD: averages in sub-networks, every q-th time over all workers; waits for the slowest.

    Parameters
    ----------
    local_steps
        tau: steps between two averages of a sub-network; a round lasts until its slowest worker has made them.
    hub_period
        q: every q-th average of the sub-networks is followed by one over all workers.
    deadline, normalise, compressor, gamma
        Fixed: a round lasts until all steps are made, so no step is normalised, and the hubs add models, uncompressed.

    See `multilevel-sgd` for the others.
    """

    paper = "Castiglia, Das, Patterson 2021, arXiv 2007.13819 (there a comparator)"
    over_graph: ClassVar[bool] = False
    waits: ClassVar[bool] = True

    deadline: Literal[0] = 0
    normalise: Literal["none"] = "none"
    gamma: Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.compressor, Identity):
            raise InputError(
                f'compressor: hl-sgd averages uncompressed models; got {self.compressor.name}, expected "identity"'
            )
