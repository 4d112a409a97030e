"""The base of all solvers: frozen hyper-parameters, a state, and a generator that yields once per iteration.

A solver sees a node and the objective on that node's shard; it never measures, prints, saves or applies a budget:
the driver does that for all solvers. The requirements (`needs`) and promises of a solver are data on its class, read
by the command line, the documentation and the conformance suite.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.registry import Registry
from hpcopt.solvers.needs import Needs


@dataclass
class State:
    """All that a solver keeps between iterations: numbers, strings, arrays, and lists and dataclasses of these.

    Class attributes
    ----------------
    COMMON
        The counters of the whole system, which only grow: when all nodes have stopped, the largest value of any node
        holds for all.
    """

    COMMON: ClassVar[tuple[str, ...]] = ()

    w: Vector  # (d,) float64; when yielded, equal on all nodes unless each has its own model


S = TypeVar("S", bound=State)


class Solver(abc.ABC, Generic[S]):
    """Base of all solvers; subclasses are frozen keyword-only dataclasses, registered with `register`.

    Class attributes
    ----------------
    needs
        What it requires of the driver, the problem, the topology and its compressor.
    paper
        The publication that states the algorithm.
    floor
        None if the iterates reach the optimum; otherwise one line that says what keeps them above it.
    randomised
        Whether it may use random numbers.
    minimises
        Whether the objective is minimised at all.
    any_nodes
        Whether the iterates are the same on any number of nodes, up to roundoff: they depend on the rows only, not on
        which node holds which.
    fit_defaults
        Parameters that `hpcopt fit` sets where practitioners want a default other than the paper's.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    paper: ClassVar[str]
    floor: ClassVar[str | None] = None
    randomised: ClassVar[bool] = False
    minimises: ClassVar[bool] = True
    any_nodes: ClassVar[bool] = False
    fit_defaults: ClassVar[dict[str, Any]] = {}

    @abc.abstractmethod
    def init(self, node: Node, f: Any, w0: Vector) -> S:
        """Return the initial state at a copy of `w0`, shape (d,); `f` is an `Oracle`, with Hessians an `Objective`."""

    @abc.abstractmethod
    def rounds(self, node: Node, f: Any, s: S) -> Iterator[S]:
        """Yield the state once per iteration; return when nothing is left to do.

        At a yield `w` is the same on all nodes, unless each node keeps its own model.
        """

    def model(self, node: Node, f: Any, s: S) -> Vector:  # noqa: ARG002
        """Return the model in a yielded state, shape (d,), without a change of the state.

        That is `w`, unless the solver updates coordinates only when it needs them, or only its own. It is not called by
        the solver but whenever the model is measured or kept: by all nodes, and booked as monitoring.
        """
        return s.w

    def per_node(self) -> str | None:
        """Return what a yielded state has that belongs to a single node, in words; None if that of any node will do.

        A run from the state of any node goes on like the original one. It can then be resumed by another number of
        nodes.
        """
        return "each node has its own model" if self.needs.models == "own" else None

    @property
    def survives(self) -> bool:
        """Whether the other nodes go on when some leave or die: those of a solver in rounds with models of their own.

        Asynchronous solvers have protocols of their own for that. Nodes that share one model need all of them; their
        run can be resumed.
        """
        return self.needs.pace == "rounds" and self.needs.models == "own"

    def restarted(self, node: Node, f: Any, s: S) -> S:
        """Return the state from which this node goes on after others have left, given its last one; collective.

        It is the initial state at this node's model, with the common counters: all that refers to other nodes (copies
        of models, trackers, push-sum weights) starts afresh.
        """
        fresh = self.init(node, f, s.w)
        for name in s.COMMON:
            setattr(fresh, name, getattr(s, name))
        return fresh

    def among(self, workers: Sequence[int]) -> Self:  # noqa: ARG002
        """Return the solver for some of its workers: parameters with a value for each keep those of `workers`."""
        return self

    @abc.abstractmethod
    def doubles(self, s: S, d: int) -> int:
        """Return the number of float64 that this solver has reduced so far, from the counters in its state.

        With K nodes the ledger shows 2 (K - 1) * 8 times as many bytes: the conformance suite compares them.
        """

    def messages(self, s: S) -> tuple[int, int]:  # noqa: ARG002
        """Return the bytes that this node has sent and received so far as encoded messages, beside those doubles.

        Received are those of every member of an all-gather, this node's included. In the ledger each node but the root,
        node 0, has both. Of an all-to-all every node has what it sent to others, and that is all.
        """
        return 0, 0


SOLVERS: Registry[type[Solver[Any]]] = Registry("solver", group="hpcopt.solvers")
register = SOLVERS.register
