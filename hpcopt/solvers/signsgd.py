"""signSGD with majority vote: one bit per coordinate and direction.

    m_k <- momentum m_k + (1 - momentum) g_k,      vote = sum_k sgn(m_k),      w <- w - step sgn(vote)

Every node sends the signs of its gradient, or with momentum (signum) of its running mean; sgn 0 = +1. Every node has
one vote, however many rows it holds; a tie moves nothing. The hub, node 0, sends back the result: a bit per coordinate
if the number of nodes is odd, otherwise a trit, five of them in a byte.

Bernstein, Wang, Azizzadenesheli, Anandkumar 2018 (arXiv 1802.04434); with momentum and majority vote Bernstein, Zhao,
Azizzadenesheli, Anandkumar 2019 (arXiv 1810.05291). That a tie moves nothing is our choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hpcopt.arrays import Bytes, Levels, Vector
from hpcopt.checks import at_least, one_of, within
from hpcopt.compression.sums import pack_digits, unpack_digits
from hpcopt.fabric.interface import Node
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Needs
from hpcopt.solvers.parts.batches import batch_gradient
from hpcopt.solvers.parts.exchange import HUB, Way
from hpcopt.solvers.parts.step_size import Schedule, StepSize, asks, check_step_size, resolve


@dataclass
class SignSGDState(State):
    """The model, the node's running mean of its gradients, and counters."""

    running: Vector  # (d,)
    steps: int = 0
    up: int = 0  # bytes of messages sent
    down: int = 0  # and received
    schedule: Schedule | None = None


@register("signsgd")
@dataclass(frozen=True, kw_only=True)
class SignSGD(Solver[SignSGDState]):
    """signSGD with majority vote: nodes send signs of gradients, and the majority's sign is the step.

    Parameters
    ----------
    step_size
        A number, by which every coordinate moves in every step, or a table { initial, decay, power }; "c/L" and "auto",
        1/L, which suit gradients rather than signs, are possible, too.
    batch
        Rows of each shard per step, drawn without replacement; 0 = all.
    momentum
        Of the running mean of gradients, 0 <= momentum < 1; above 0 the method is called signum.
    exchange
        "hub": the signs to node 0, and the result back; "all-gather": the signs to all nodes.
    """

    needs = Needs(rates=True)
    paper = "Bernstein et al. 2018, arXiv 1802.04434; 2019, arXiv 1810.05291"
    floor = "constant step size: gap proportional to the step size; a majority of gradients is not their mean"
    randomised = True

    step_size: StepSize = 0.01
    batch: int = 32
    momentum: float = 0.0
    exchange: Way = "hub"

    def __post_init__(self) -> None:
        check_step_size(self.step_size)
        at_least(0, batch=self.batch)
        within(0, 1, including="low", momentum=self.momentum)
        one_of(("all-gather", "hub"), exchange=self.exchange)

    def per_node(self) -> str | None:
        return None if self.momentum == 0.0 else "each node has the running mean of its gradients"

    def init(self, node: Node, f: Oracle, w0: Vector) -> SignSGDState:  # noqa: ARG002
        return SignSGDState(w=w0.copy(), running=np.zeros_like(w0))

    def rounds(self, node: Node, f: Oracle, s: SignSGDState) -> Iterator[SignSGDState]:
        s.schedule = s.schedule or resolve(self.step_size, node, f)
        while True:
            g = batch_gradient(node, f, s.w, self.batch, s.steps)
            s.running = self.momentum * s.running + (1.0 - self.momentum) * g
            s.w = s.w - s.schedule.sizes(s.steps, 1)[0] * self._vote(node, s)
            s.steps += 1
            yield s

    def _vote(self, node: Node, s: SignSGDState) -> Levels:
        """Return the sign of the majority, 0 for a tie, shape (d,)."""
        signs, d = np.packbits(s.running >= 0.0), s.w.size
        s.up += signs.nbytes
        if self.exchange == "all-gather":
            messages = node.world.allgather(signs)
            s.down += node.size * signs.nbytes
            return messages.once("majority", lambda: majority(messages, d))
        gathered = node.world.gather_varying(signs, root=HUB)
        result = pack_result(np.zeros(d, np.int8) if gathered is None else majority(gathered, d), node.size)
        s.down += result.nbytes
        return unpack_result(node.world.broadcast_varying(result, root=HUB), node.size, d)

    def doubles(self, s: SignSGDState, d: int) -> int:  # noqa: ARG002
        return int(asks(self.step_size))

    def messages(self, s: SignSGDState) -> tuple[int, int]:
        return s.up, s.down


def majority(signs: Iterable[Bytes], d: int) -> Levels:
    """Return the sign of the sum of all nodes' signs, shape (d,); `signs` has a bit for each, set for +1."""
    votes = np.zeros(d, dtype=np.int32)
    for packed in signs:
        votes += 2 * np.unpackbits(packed, count=d).astype(np.int32) - 1
    return np.sign(votes).astype(np.int8)


def pack_result(result: Levels, nodes: int) -> Bytes:
    """Return -1, 0 and 1 of each coordinate in bytes: a bit each if no tie is possible, or else a trit."""
    return np.packbits(result > 0) if nodes % 2 else pack_digits(result + 1, 3)


def unpack_result(packed: Bytes, nodes: int, d: int) -> Levels:
    """Return what `pack_result` packed, shape (d,)."""
    if nodes % 2:
        return 2 * np.unpackbits(packed, count=d).astype(np.int8) - 1
    return unpack_digits(packed, d, 3).astype(np.int8) - 1
