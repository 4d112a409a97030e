"""What every solver is: frozen hyper-parameters, a state, and a generator that yields once per iteration.

A solver sees a node and the objective on that node's shard; it never measures, prints, saves or stops
itself for a budget: the driver does, once, for all of them. What a solver cannot do or promises is data on
its class, read by the command line, the documentation and the conformance suite.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.interface import Node
from hpcopt.registry import Registry
from hpcopt.topology.mixing import Mixing

Vector = NDArray[np.float64]


@dataclass
class State:
    """What survives an iteration (and what a checkpoint would hold)."""

    w: Vector  # (d,) float64, when yielded equal on all nodes, unless the solver is decentralised


S = TypeVar("S", bound=State)


class Solver(abc.ABC, Generic[S]):
    """Base of all solvers; subclasses are frozen keyword-only dataclasses entered with `register`.

    Class attributes
    ----------------
    paper
        Where the algorithm is stated.
    floor
        None if the iterates reach the optimum; otherwise one line saying what keeps them above it.
    randomised
        Whether random numbers may be used.
    decentralised
        Whether each node keeps a model of its own; what is measured is then the mean model, and how far the nodes are
        from it.
    networked
        Whether nodes talk to their neighbours in the cluster's network, and to nobody else.
    asynchronous
        Whether nodes go on at their own pace, with yields of their own, so that only surveys can measure the run.
    needs_hessian
        Whether the oracle must give second derivatives.
    minimises
        Whether the objective is minimised at all.
    fit_defaults
        Parameters that `hpcopt fit` sets where a practitioner wants another default than the paper's.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    floor: ClassVar[str | None] = None
    randomised: ClassVar[bool] = False
    decentralised: ClassVar[bool] = False
    networked: ClassVar[bool] = False
    asynchronous: ClassVar[bool] = False
    needs_hessian: ClassVar[bool] = False
    minimises: ClassVar[bool] = True
    fit_defaults: ClassVar[dict[str, Any]] = {}

    @abc.abstractmethod
    def init(self, node: Node, f: Any, w0: Vector) -> S:
        """Return the initial state at a copy of `w0`, shape (d,); `f` is an `Oracle`, with Hessians an `Objective`."""

    @abc.abstractmethod
    def rounds(self, node: Node, f: Any, s: S) -> Iterator[S]:
        """Yield the state once per iteration; return when nothing is left to do.

        `w` is the same on all nodes then, unless the solver is decentralised.
        """

    def refuses(self, d: int) -> str | None:  # noqa: ARG002
        """Return why this solver cannot work with models of `d` coordinates, None if it can; asked before the run."""
        return None

    def condition(self, d: int, mixing: Mixing | None) -> str | None:  # noqa: ARG002
        """Return what the theory asks for and this setting, with models of `d` coordinates, lacks; None if nothing.

        Asked before the run, with the cluster's network if it has one; a person may insist.
        """
        return None

    @abc.abstractmethod
    def doubles(self, s: S, d: int) -> int:
        """Return how many float64 this solver has reduced so far, from the counters in its state.

        With K nodes the ledger shows 2 (K - 1) * 8 times as many bytes: the conformance suite compares them.
        """


SOLVERS: Registry[type[Solver[Any]]] = Registry("solver")
register = SOLVERS.register
