"""AdaGrad on quantised gradients, by composite mirror descent (QCMD) or regularised dual averaging (QRDA).

Node k compresses the gradient of its loss; all steps are made with the mean of the decoded messages, so the metric is
built from quantised gradients. For f = loss + r, with the loss alone quantised and the whole penalty r in the step:

    g_t = sum_k (n_k/n) Q(grad loss_k(x_t; batch)),   v <- v + g_t^2,   H = delta + sqrt(v)
    x_{t+1} = argmin over x of  <p, x> + r(x) + (1/(2 tau)) (x - c)' H (x - c)

    QCMD     p = g_t                            tau = eta      c = x_t
    QRDA     p = (g_1 + ... + g_t) / t          tau = eta t    c = 0

which is the proximal step prox of r at c - (tau/H) p, with step tau, in the metric H. On one node without a compressor
these are AdaGrad's two forms: Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic
optimization, JMLR 12, 2011. Quantised: Xu, Wangni, Zhang, Ye, Wu and Zhao 2022 (arXiv 2208.05631), whose text we could
not read: the steps follow from Duchi's with g_t in place of the gradient; error feedback and the ways of exchange are
ours.

Where x_1 is not 0 and delta is tiny, the first step would set every coordinate that has had no gradient yet to the
penalty's minimum. So v then starts with the square of one full gradient, not quantised.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hpcopt.arrays import Columns, Vector
from hpcopt.checks import above, at_least, one_of
from hpcopt.compression import Compressor
from hpcopt.compression.identity import Identity
from hpcopt.compression.threshold_ternary import ThresholdTernary
from hpcopt.errors import InputError
from hpcopt.fabric.interface import Node
from hpcopt.kernels import adaptive
from hpcopt.kernels.lazy import NUMBERS
from hpcopt.problems.oracle import Oracle
from hpcopt.solvers.base import Solver, State, register
from hpcopt.solvers.needs import Condition, Needs, Objection, Setting
from hpcopt.solvers.parts.batches import batch_gradient
from hpcopt.solvers.parts.compressed_mean import MEMORY
from hpcopt.solvers.parts.exchange import HUB, HUBS, Downlink, Exchange, Exchanged, Mean, Memory, can_be_summed
from hpcopt.solvers.parts.lazy import RARE, LazyUpdates, sparse_batch, sparse_gradient
from hpcopt.solvers.parts.listing import can_be_sparse
from hpcopt.solvers.parts.replicated import ReplicatedModel
from hpcopt.solvers.parts.sharded import ShardedModel, owned


@dataclass
class AdaGradState(State):
    """The model, the metric, the sum of the gradients, and what the exchange keeps.

    With lazy updates w is the starting point, the model is `Solver.model`, and v and z are in the records.
    """

    v: Vector  # (d,), sums of the squares of the mean gradients; lazy: (0,)
    z: Vector  # (d,), sums of the mean gradients; QCMD, lazy: (0,)
    exchanged: Exchanged
    records: Columns  # (m, 2 or 4), the numbers of each of this node's coordinates (`kernels.lazy`); not lazy: (0, 0)
    steps: int = 0

    @property
    def lazy(self) -> bool:
        """Whether the model is brought up to date only where it is needed."""
        return self.records.size > 0


def _contractive(solver: QuantizedAdaGrad, setting: Setting) -> Objection | None:
    compressor, d = solver.compressor, setting.d
    if d is None or solver.error_feedback == "none" or compressor.contraction(d) is not None:
        return None
    what = f'error_feedback = "ef" requires a contractive compressor; {compressor.name} with these parameters is not'
    return Objection("solver.compressor", what, can_be_forced=True)


def _shrinks(solver: QuantizedAdaGrad, setting: Setting) -> Objection | None:
    if solver.exchange != "sharded" or setting.problem is None or setting.problem.penalty.shrinkage is not None:
        return None
    name = setting.problem.penalty.name
    what = f'exchange = "sharded" requires penalty "none", "l1", "l2" or "elastic-net"; got "{name}"'
    return Objection("solver.exchange", what, can_be_forced=False)


@dataclass(frozen=True, kw_only=True)
class QuantizedAdaGrad(Solver[AdaGradState], abc.ABC):
    """The general form; a method is a choice of p, tau and c.

    Parameters
    ----------
    step_size
        eta, constant, above 0. It needs tuning: the metric grows with the quantisation error, which has the effect of a
        smaller eta.
    delta
        The constant in H, above 0.
    batch
        Rows of each shard per step, drawn without replacement; 0 = all.
    compressor
        Q, the compressor of the loss gradients.
    error_feedback
        "none"; "ef": the compression error is added to the next gradient.
    exchange
        "all-gather": all nodes receive all messages, and each makes the step; "hub": only node 0 receives them;
        "sharded": each node keeps and updates its own coordinates, which the others ask for where their batches need
        them (sparse rows).
    downlink
        What the hub sends back. "model": it makes the step and sends the model, exactly, without its zeros; "gradient":
        the mean, compressed once more (with error feedback at the hub, too); "sum": the exact sum of ternary messages
        with one scale for all nodes.
    """

    needs = Needs(
        composite=True,
        rates=True,
        rowless=True,
        also=(
            Condition("contractive compressor with error feedback", _contractive),
            Condition("a separable penalty if sharded", _shrinks),
        ),
    )
    paper = "Xu, Wangni, Zhang, Ye, Wu, Zhao 2022, arXiv 2208.05631"
    floor = "minibatches and quantised gradients: gap decreasing as 1/sqrt(t), or a bias of the compressor"
    randomised = True
    rule: ClassVar[int]

    step_size: float = 0.1
    delta: float = 1e-8
    batch: int = 32
    compressor: Compressor = ThresholdTernary()
    error_feedback: Memory = "none"
    exchange: Literal["all-gather", "hub", "sharded"] = "all-gather"
    downlink: Downlink = "model"

    def __post_init__(self) -> None:
        above(0, step_size=self.step_size, delta=self.delta)
        at_least(0, batch=self.batch)
        one_of(("none", "ef"), error_feedback=self.error_feedback)
        one_of(("all-gather", "hub", "sharded"), exchange=self.exchange)
        if self.exchange == "sharded":
            self._check_sharded()
        one_of(HUBS, downlink=self.downlink)
        if self.exchange != "hub" and self.downlink != "model":
            raise InputError(f'downlink: "{self.downlink}" requires exchange = "hub"; exchange is "{self.exchange}"')
        if self.downlink == "sum" and not can_be_summed(self.compressor):
            raise InputError(
                f'downlink: "sum" requires a compressor of three values, "ternary" or "threshold-ternary" with '
                f"unbiased = false; got {self.compressor.name}"
            )

    def _check_sharded(self) -> None:
        if self.error_feedback != "none":
            raise InputError(f'exchange: "sharded" requires error_feedback = "none"; got "{self.error_feedback}"')
        if not can_be_sparse(self.compressor):
            raise InputError(
                'exchange: "sharded" requires a compressor of lists: "identity", "nonzeros", or "ternary" (clip = 0) '
                f'or "threshold-ternary" with bucket = 0 and coding = "auto"; got {self.compressor.name}'
            )

    @abc.abstractmethod
    def point(self, s: AdaGradState, g: Vector, H: Vector) -> tuple[Vector, float]:
        """Return c - (tau/H) p, shape (d,), and tau; update z by the mean gradient `g`. v is still that before."""

    def per_node(self) -> str | None:
        if self.exchange == "all-gather":
            return None if self.error_feedback == "none" else MEMORY
        return "each node has its coordinates" if self.exchange == "sharded" else "the hub has sums of the gradients"

    def init(self, node: Node, f: Oracle, w0: Vector) -> AdaGradState:
        lazy, mirror, d = self._is_lazy(node, f), self.rule == adaptive.MIRROR, w0.size
        if self.exchange == "sharded" and d < node.size:
            raise InputError(f'exchange: "sharded" requires a coordinate for each node; got {d} on {node.size} nodes')
        back = np.zeros(d if self.downlink == "gradient" and node.rank == HUB else 0)
        exchanged = Exchanged(memory=np.zeros(0 if lazy else d), returned=back)
        v, z = np.zeros(0 if lazy else d), np.zeros(0 if lazy or mirror else d)
        records = np.zeros((len(range(*self._own(node).indices(d))), NUMBERS[self.rule]) if lazy else (0, 0))
        return AdaGradState(w=w0.copy(), v=v, z=z, exchanged=exchanged, records=records)

    def model(self, node: Node, f: Oracle, s: AdaGradState) -> Vector:
        return self._lazily(node, f, s).whole() if s.lazy else s.w

    def _is_lazy(self, node: Node, f: Oracle) -> bool:
        """Return whether the mean gradient of a step is so sparse, on any node, that lazy updates pay."""
        if self.exchange == "sharded":
            return True
        if self.exchange == "hub" or self.error_feedback != "none" or not can_be_sparse(self.compressor):
            return False
        touched = node.size * self.batch * f.coordinates_per_row
        return f.penalty.shrinkage is not None and 0.0 < RARE * touched <= f.d

    def _own(self, node: Node) -> slice:
        """Return the coordinates that this node keeps, if updates are lazy."""
        return owned(node.rank, node.size) if self.exchange == "sharded" else slice(None)

    def _updates(self, node: Node, f: Oracle, s: AdaGradState) -> LazyUpdates:
        return LazyUpdates(self.rule, f, s, self.step_size, self.delta, self._own(node))

    def _lazily(self, node: Node, f: Oracle, s: AdaGradState) -> ReplicatedModel | ShardedModel:
        updates = self._updates(node, f, s)
        if self.exchange == "sharded":
            return ShardedModel(node, updates, f.d, self.compressor, s.exchanged)
        return ReplicatedModel(node, updates, self.compressor, s.exchanged)

    def rounds(self, node: Node, f: Oracle, s: AdaGradState) -> Iterator[AdaGradState]:
        if s.steps == 0 and s.w.any():
            v = node.world.mean(f.at(s.w).loss_gradient, weight=f.share) ** 2
            s.exchanged.means += 1
            if s.lazy:
                self._updates(node, f, s).begin(v)
            else:
                s.v = v
        yield from self._lazy_rounds(node, f, s) if s.lazy else self._eager_rounds(node, f, s)

    def _lazy_rounds(self, node: Node, f: Oracle, s: AdaGradState) -> Iterator[AdaGradState]:
        model = self._lazily(node, f, s)
        while True:
            rows = sparse_batch(node, f, self.batch, s.steps)
            g = sparse_gradient(node, f, rows, model.at(rows.coordinates))
            model.step(g, f.share, s.steps)
            yield s

    def _eager_rounds(self, node: Node, f: Oracle, s: AdaGradState) -> Iterator[AdaGradState]:
        exchange = (HUBS[self.downlink] if self.exchange == "hub" else Exchange)(
            node, self.compressor, self.error_feedback, s.exchanged
        )
        while True:
            gradient = batch_gradient(node, f, s.w, self.batch, s.steps, loss_only=True)
            mean = exchange.mean(gradient, f.share, s.steps)
            s.steps += 1
            if mean is not None:
                self._step(f, s, mean)
            s.w = exchange.model(s.w)
            yield s

    def _step(self, f: Oracle, s: AdaGradState, mean: Mean) -> None:
        """Update v, z and the model by the mean gradient; in one pass where the prox is a soft threshold."""
        eta, delta, t, penalised = self.step_size, self.delta, float(s.steps), f.penalised
        l1, c = f.penalty.shrinkage, f.penalty.curvature
        if l1 is None:
            self._proximal_step(f, s, mean.vector())
            return
        packed = mean.packed()
        if packed is not None:
            adaptive.decode_and_step(*packed, self.rule, s.w, s.v, s.z, eta, delta, t, penalised, l1, c)
            return
        g = mean.vector()
        for part, penalty in ((slice(penalised), (l1, c)), (slice(penalised, None), (0.0, 0.0))):
            adaptive.step(self.rule, s.w[part], g[part], s.v[part], s.z[part], eta, delta, t, *penalty)

    def _proximal_step(self, f: Oracle, s: AdaGradState, g: Vector) -> None:
        """Update v, z and the model by the mean gradient `g`, for any penalty."""
        v = s.v + g**2
        H = self.delta + np.sqrt(v)
        s.w, tau = self.point(s, g, H)
        s.v = v
        s.w[: f.penalised] = f.penalty.prox(s.w[: f.penalised], tau, H[: f.penalised])

    def doubles(self, s: AdaGradState, d: int) -> int:
        return s.exchanged.means * d + s.exchanged.scalars

    def messages(self, s: AdaGradState) -> tuple[int, int]:
        return s.exchanged.up, s.exchanged.down


@register("qcmd-adagrad")
@dataclass(frozen=True, kw_only=True)
class QCMDAdaGrad(QuantizedAdaGrad):
    """QCMD AdaGrad: composite mirror descent with an adaptive metric, on quantised gradients."""

    rule = adaptive.MIRROR

    def point(self, s: AdaGradState, g: Vector, H: Vector) -> tuple[Vector, float]:
        return s.w - self.step_size / H * g, self.step_size


@register("qrda-adagrad")
@dataclass(frozen=True, kw_only=True)
class QRDAAdaGrad(QuantizedAdaGrad):
    """QRDA AdaGrad: dual averaging with an adaptive metric, on quantised gradients; its models are the sparser ones."""

    rule = adaptive.AVERAGING

    def point(self, s: AdaGradState, g: Vector, H: Vector) -> tuple[Vector, float]:
        s.z += g
        tau = self.step_size * s.steps
        return -tau / H * (s.z / s.steps), tau


@dataclass(frozen=True, kw_only=True)
class FullPrecision(QuantizedAdaGrad):
    """The choice not to quantise.

    Parameters
    ----------
    compressor, error_feedback, downlink
        Fixed: gradients are sent uncompressed, and a hub sends back the model.
    """

    needs = Needs(
        composite=True, rates=True, rowless=True, also=(Condition("a separable penalty if sharded", _shrinks),)
    )
    paper = "Duchi, Hazan, Singer 2011, JMLR 12"
    floor = "minibatches: gap decreasing as 1/sqrt(t)"

    compressor: Compressor = Identity()
    error_feedback: Literal["none"] = "none"
    downlink: Literal["model"] = "model"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.compressor, Identity):
            raise InputError(
                f"compressor: {self.name} sends gradients uncompressed, got {self.compressor.name}; "
                f"use q{self.name.removeprefix('adagrad-')}-adagrad, or remove compressor"
            )


@register("adagrad-cmd")
@dataclass(frozen=True, kw_only=True)
class AdaGradCMD(FullPrecision, QCMDAdaGrad):
    """AdaGrad by composite mirror descent: `qcmd-adagrad` without quantisation."""

    fit_defaults = {"batch": 0, "step_size": 1.0}  # noqa: RUF012


@register("adagrad-rda")
@dataclass(frozen=True, kw_only=True)
class AdaGradRDA(FullPrecision, QRDAAdaGrad):
    """AdaGrad by regularised dual averaging: `qrda-adagrad` without quantisation."""
