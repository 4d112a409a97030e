"""AGP, asynchronous gradient push: push-sum SGD without rounds.

    worker i    x_i <- x_i - eta grad f_i(z_i; xi)
                send (x_i, y_i) / (1 + out_i) to all targets, keep one part; y_i = 1 at first
                add all parts received to (x_i, y_i)
                z_i = x_i / y_i                                   the model

Mass in flight belongs to no worker, so the weights y differ and z divides by them; a step eta of x is a step eta / y of
z. A worker that continued alone after giving its weight away would diverge. So "auto" is a quarter of the step size
that is stable in synchronous rounds (our choice), and three conditions, as in the authors' code, make a worker wait for
a message:

    - while y < 1e-5
    - after `patience` steps of its own without one
    - while it has made over `ahead` steps more than a source has sent it messages

unless y >= 1. The mean weight is 1, so if nothing is in flight some worker has at least that weight, and not all can
wait. The authors' third condition is a global barrier with a bounded delay; here only neighbours wait for each other.
With equal speeds and patience 1 this is SGP.

A push begins when the previous one has left the worker, so that the data in flight stay bounded on slow links.

At the end a worker tells its targets, which then wait for no one, and all mass still in flight is received. A worker
that leaves earlier also tells its targets, and takes its mass along. Iterations are the worker's own gradients;
the trace shows those of the fastest worker, and rounds are pushes.

Assran and Rabbat: "Asynchronous gradient push", IEEE Transactions on Automatic Control 66(1), 2021 (arXiv 1803.08950).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hpcopt.arrays import Bytes, Vector
from hpcopt.checks import at_least
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Condition, Needs, Objection, Setting
from hpcopt.solvers.parts.asynchronous import AsynchronousSolver, AsynchronousState, PiecewiseGradient
from hpcopt.solvers.parts.gossip import check_descent
from hpcopt.solvers.parts.push_sum import mass_of, model_of, packed, smallest_weight, unpacked
from hpcopt.solvers.parts.step_size import StepSize
from hpcopt.topology.mixing import Mixing

LEAST = 1e-5  # least weight of a worker that continues
AUTO = 0.25  # times the step size that is stable with synchronous pushes
LEFT, OVER = np.zeros((2, 1), dtype=np.uint8)  # messages too short for a mass: the sender has left
OVER[0] = 1  # the sender has left because the run ends


@dataclass
class AGPState(AsynchronousState):
    """A worker's model z = x / y, and its mass."""

    mass: Vector = field(default_factory=lambda: np.empty(0))  # (d + 1,): x, y


def _steady(solver: AGP, setting: Setting) -> Objection | None:
    if not solver.ahead or setting.topology is None or not setting.topology.varying:
        return None
    name = setting.topology.name
    what = f"ahead > 0 requires a fixed topology, since it counts neighbours' messages; {name} changes the neighbours"
    return Objection("solver.ahead", what, can_be_forced=True)


@register("agp")
@dataclass(frozen=True, kw_only=True)
class AGP(AsynchronousSolver[AGPState]):
    """AGP: asynchronous gradient push, that is push-sum SGD, on directed and time-varying graphs.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power } over the worker's own gradients, "c/L" with L the largest
        smoothness of a node's objective, or "auto": y/(4 L), y the smallest push-sum weight of any node if
        all push synchronously, at most 1.
    batch
        Rows of each shard per gradient; 0 = all.
    patience
        Steps without a message after which a worker waits for one; 0 = never.
    ahead
        Steps that a worker may be ahead of its neighbours; 0 = no limit. A worker that stalls for many steps of the
        others accumulates their weights: set a limit if that can happen, for example with more ranks than cores.
    """

    needs = Needs(
        models="own",
        topology="graph",
        pace="own",
        also=(Condition("fixed topology if `ahead` > 0", _steady),),
    )
    paper = "Assran and Rabbat 2021, IEEE TAC 66(1), arXiv 1803.08950"
    floor = "error grows with the step size, the gradient noise and the spread of the workers' rates"

    step_size: StepSize = "auto"
    batch: int = 32
    patience: int = 1
    ahead: int = 0

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)
        at_least(0, patience=self.patience, ahead=self.ahead)

    def init(self, node: Node, f: Oracle, w0: Vector) -> AGPState:  # noqa: ARG002
        return AGPState(w=w0.copy(), mass=mass_of(w0))

    def rounds(self, node: Node, f: Oracle, s: AGPState) -> Iterator[AGPState]:
        assert node.mixing is not None, "a decentralised solver requires a topology"
        gradient = PiecewiseGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s, AUTO * smallest_weight(node.mixing))
        links, begun = _Links(node, node.mixing), s.steps
        while not (node.stopping or node.leaving) and s.mass[-1] >= LEAST:
            s.mass[:-1] -= eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)
            links.push(s.mass, s.steps)
            s.steps += 1
            links.receive(s.mass)
            while self._must_wait(s, links, s.steps - begun):
                links.wait()
                links.receive(s.mass)
            s.w = model_of(s.mass)
            s.iteration = s.steps
            yield s
        links.end(s.mass, OVER if node.stopping or links.over else LEFT)
        s.w = model_of(s.mass)

    def _must_wait(self, s: AGPState, links: _Links, steps: int) -> bool:
        weight = s.mass[-1]
        if weight >= 1.0 or links.over or not links.sources:
            return False
        silent = 0 < self.patience <= links.silent
        return bool(weight < LEAST or silent or (0 < self.ahead < steps - links.slowest))


class _Links:
    """A worker's targets and sources, without those that have left.

    Attributes
    ----------
    sources
        The sources that have not left, and how many messages each has sent.
    silent
        Pushes since the last message arrived.
    over
        Whether a source has said that the run ends.
    """

    def __init__(self, node: Node, mixing: Mixing) -> None:
        rows = [mixing.row(node.rank, step) for step in range(mixing.period)]
        self.sources = dict.fromkeys((source for row in rows for source in row.sources), 0)
        self.silent = 0
        self.over = False
        self._targets = [row.targets for row in rows]
        self._gone: set[int] = set()
        self._box = node.mailbox()

    @property
    def slowest(self) -> int:
        """The fewest messages from a source."""
        return min(self.sources.values())

    def push(self, mass: Vector, step: int) -> None:
        """Share `mass`, (d + 1,), in place with the targets of `step`, once the last push has left."""
        self._box.flush()
        targets = [target for target in self._targets[step % len(self._targets)] if target not in self._gone]
        mass /= 1 + len(targets)
        self._box.count_round()
        for target in targets:
            self._box.send(target, packed(mass))
        self.silent += bool(targets)

    def receive(self, mass: Vector) -> None:
        """Add all messages that have arrived to `mass`."""
        self._add(mass, self._box.take())

    def _add(self, mass: Vector, messages: Sequence[tuple[int, Bytes]]) -> None:
        for source, message in messages:
            self.silent = 0
            if message.size == OVER.size:
                self._gone.add(source)
                del self.sources[source]
                self.over = self.over or bool(message[0])
            else:
                mass += unpacked(message)
                self.sources[source] += 1

    def wait(self) -> None:
        """Wait for a message."""
        self._box.wait()

    def end(self, mass: Vector, why: Bytes) -> None:
        """Send LEFT or OVER to all targets, and add what still arrives; collective over all nodes."""
        for target in sorted({target for targets in self._targets for target in targets}):
            self._box.send(target, why)
        self._add(mass, self._box.drain())
