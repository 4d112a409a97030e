"""What every solver is: frozen hyper-parameters, a state, and a generator that yields once per iteration.

A solver sees a node and the objective on that node's shard; it never measures, prints, saves or stops
itself for a budget: the driver does, once, for all of them. What a solver needs (`needs`) and promises is data
on its class, read by the command line, the documentation and the conformance suite.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from hpcopt.arrays import Vector
from hpcopt.fabric.interface import Node
from hpcopt.registry import Registry
from hpcopt.solvers.needs import Needs


@dataclass
class State:
    """What survives an iteration: fields that are numbers, strings, arrays, or lists and dataclasses of such."""

    w: Vector  # (d,) float64, when yielded equal on all nodes, unless each keeps a model of its own


S = TypeVar("S", bound=State)


class Solver(abc.ABC, Generic[S]):
    """Base of all solvers; subclasses are frozen keyword-only dataclasses entered with `register`.

    Class attributes
    ----------------
    needs
        What it needs of the driver, the problem, the network and its compressor.
    paper
        Where the algorithm is stated.
    floor
        None if the iterates reach the optimum; otherwise one line saying what keeps them above it.
    randomised
        Whether random numbers may be used.
    minimises
        Whether the objective is minimised at all.
    fit_defaults
        Parameters that `hpcopt fit` sets where a practitioner wants another default than the paper's.
    """

    name: ClassVar[str]
    needs: ClassVar[Needs] = Needs()
    paper: ClassVar[str]
    floor: ClassVar[str | None] = None
    randomised: ClassVar[bool] = False
    minimises: ClassVar[bool] = True
    fit_defaults: ClassVar[dict[str, Any]] = {}

    @abc.abstractmethod
    def init(self, node: Node, f: Any, w0: Vector) -> S:
        """Return the initial state at a copy of `w0`, shape (d,); `f` is an `Oracle`, with Hessians an `Objective`."""

    @abc.abstractmethod
    def rounds(self, node: Node, f: Any, s: S) -> Iterator[S]:
        """Yield the state once per iteration; return when nothing is left to do.

        `w` is the same on all nodes then, unless each keeps a model of its own.
        """

    @abc.abstractmethod
    def doubles(self, s: S, d: int) -> int:
        """Return how many float64 this solver has reduced so far, from the counters in its state.

        With K nodes the ledger shows 2 (K - 1) * 8 times as many bytes: the conformance suite compares them.
        """


SOLVERS: Registry[type[Solver[Any]]] = Registry("solver", group="hpcopt.solvers")
register = SOLVERS.register
