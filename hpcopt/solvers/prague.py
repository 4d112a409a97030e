"""Prague: asynchronous SGD by partial all-reduce among small random groups of workers.

    worker i    x_i <- x_i - eta grad f_i(x_i; xi)
                ask the generator, and wait for a group G with i whose members have all arrived
                x_i <- mean of x_j over j in G

Groups may consist of any workers: the cluster's topology is not used. A straggler delays its own group, and workers
that are drawn into a group with it. With few groups, division draws the same groups many times: while the other groups
wait for their stragglers, only the members of the last group are free. Below about 30 workers `division = false` mixes
better.
The generator, its filter and its division are in `hpcopt.solvers.parts.group_division`.

A partial all-reduce goes through one of the group's members, which sums in ascending order and sends the mean back:
2 (g-1) models per group. The authors' static schedule for homogeneous clusters is not implemented. Iterations are the
worker's own gradients; the trace shows those of the fastest worker, and rounds are partial all-reduces.

Luo, He, Zhuo, Qian: "Prague: high-performance heterogeneity-aware asynchronous decentralized training", ASPLOS 2020
(arXiv 1909.08029).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Vector
from hpcopt.checks import at_least
from hpcopt.fabric.interface import Node
from hpcopt.fabric.mailbox import Mailbox
from hpcopt.fabric.streams import Draw
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.asynchronous import AsynchronousSolver, AsynchronousState, PiecewiseGradient
from hpcopt.solvers.parts.gossip import check_descent
from hpcopt.solvers.parts.group_division import ARRIVE, DETACH, GROUP, STOP, Averaging, GroupDivision
from hpcopt.solvers.parts.step_size import StepSize


@register("prague")
@dataclass(frozen=True, kw_only=True)
class Prague(AsynchronousSolver[AsynchronousState]):
    """Prague: asynchronous SGD with partial all-reduce in small random groups of workers; uses no topology.

    Parameters
    ----------
    step_size
        eta: a number, a table { initial, decay, power } over the worker's own gradients, "c/L" with L the largest
        smoothness of a node's objective, or "auto": 1/L.
    batch
        Rows of each shard per gradient; 0 = all.
    group_size
        Maximum number of workers in a group.
    division
        Whether all workers that are in no group are divided into groups at once, so that groups do not overlap.
    slack
        Only workers are drawn that have computed at most this many gradients fewer than the requesting one; -1 = no
        limit.
    """

    needs = Needs(models="own", pace="own")
    paper = "Luo, He, Zhuo, Qian 2020, ASPLOS, arXiv 1909.08029"
    floor = "constant step size: error grows with the step size, the gradient noise and the data heterogeneity"

    step_size: StepSize = "auto"
    batch: int = 32
    group_size: int = 4
    division: bool = True
    slack: int = -1

    def __post_init__(self) -> None:
        check_descent(self.step_size, self.batch)
        at_least(2, group_size=self.group_size)
        at_least(-1, slack=self.slack)

    def init(self, node: Node, f: Oracle, w0: Vector) -> AsynchronousState:  # noqa: ARG002
        return AsynchronousState(w=w0.copy())

    def rounds(self, node: Node, f: Oracle, s: AsynchronousState) -> Iterator[AsynchronousState]:
        gradient = PiecewiseGradient(node, f, self.batch)
        eta = s.schedule = s.schedule or gradient.schedule(self.step_size, s)
        generator = node.board(self.generator(node, s.steps))
        box = node.mailbox()
        while True:
            s.w = s.w - eta.sizes(s.steps, 1)[0] * gradient(s.w, s.steps)
            s.steps += 1
            generator.post(ARRIVE, s.steps)
            turn = Averaging.of(generator.wait())
            if turn.kind != GROUP:
                s.discarded += 1
                break
            s.w = partial_mean(node, box, s.w, turn.members.tolist(), turn.number)
            s.iteration = s.steps
            yield s
            if node.stopping or node.leaving:
                generator.post(STOP if node.stopping else DETACH)
                break
        node.world.barrier()  # a worker that has left still contributes to surveys while others continue

    def generator(self, node: Node, steps: int) -> GroupDivision:
        """Return the generator, with the same seed on all nodes; collective.

        Workers that have stopped and start again, after `steps` steps of node 0, draw other groups than before.
        """
        drawn = node.key(Draw.GROUPS, *([steps] if steps else []))
        seed = int(node.world.broadcast(np.array([float(drawn >> 12)]))[0])  # 52 bits are exact
        return GroupDivision(node.size, self.group_size, seed=seed, division=self.division, slack=self.slack)


def partial_mean(node: Node, box: Mailbox, w: Vector, members: list[int], number: int) -> Vector:
    """Return the mean of the members' `w`, (d,), bitwise equal on all of them.

    Called by all `members`, given in ascending order. The group's `number` determines, in turn, the member that
    receives all models, sums them and sends the mean.
    """
    box.count_round()
    root = members[number % len(members)]
    if node.rank != root:
        box.send(root, w.view(np.uint8))
        (mean,) = _received(box, 1).values()
        return mean.copy()
    models = {root: w, **_received(box, len(members) - 1)}
    mean = np.add.reduce([models[rank] for rank in members]) / len(members)  # for one member, its own model
    for rank in members:
        if rank != root:
            box.send(rank, mean.view(np.uint8))
    return np.asarray(mean)


def _received(box: Mailbox, count: int) -> dict[int, Vector]:
    """Wait for `count` vectors; no other node sends any, since a worker is in one group at a time."""
    vectors: dict[int, Vector] = {}
    while len(vectors) < count:
        box.wait()
        vectors |= {source: message.view(np.float64) for source, message in box.take()}
    return vectors
