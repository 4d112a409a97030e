"""What a solver needs, as data: one declaration a solver, `needs = Needs(...)` on its class.

The driver reads from it how to run a solver, and `hpcopt.solvers.objections` whether it can run in a setting at all.
What a solver promises (its floor, whether it minimises, whether it draws random numbers) stands beside it on the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.problems.formulation import Formulation
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where a solver is to run, as far as it is known: of what is None nothing is said yet.

    Parameters
    ----------
    problem
        The objective, for what its oracle offers.
    d
        Coordinates of a model; known once the data are read.
    network
        The cluster's, if it has one; known once the cluster is open.
    heterogeneity
        What makes the cluster's nodes and links unlike.
    fitting
        Whether the run is to leave a model that fits the data.
    """

    problem: Formulation | None = None
    d: int | None = None
    network: Mixing | None = None
    heterogeneity: Heterogeneity | None = None
    fitting: bool = False


@dataclass(frozen=True)
class Objection:
    """Why a solver should not run in a setting.

    Parameters
    ----------
    key
        What to change: a key of the specification, as "cluster.topology"; those of the solver's own table begin with
        "solver.".
    text
        What is asked for and what there is, in one line.
    can_be_forced
        Whether it could run all the same, beyond what its theory covers.
    """

    key: str
    text: str
    can_be_forced: bool


@dataclass(frozen=True)
class Condition:
    """A need that one solver alone has, or that its parameters decide.

    Parameters
    ----------
    words
        What is asked for, in a few words, for tables.
    objection
        Of a solver and a setting; None if all is well, or not known yet.
    """

    words: str
    objection: Callable[[Any, Setting], Objection | None]


_ARTICLES = {"contractive": "a", "exact": "an"}


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a solver needs of the driver, the problem, the network and its compressor.

    Parameters
    ----------
    models
        "one": when yielded, the model is the same on all nodes; "own": each node keeps its own, and what is measured is
        the mean model, and how far the nodes are from it.
    pace
        "rounds": all nodes take part in each of them; "own": each goes on by itself and yields by itself, so that only
        surveys can measure the run.
    network
        "none", or "graph": nodes talk to their neighbours in the cluster's network, and to nobody else.
    weights
        What the theory asks of the network's: "any", "doubly-stochastic" (so that mixing leaves the mean alone), or
        "symmetric" besides.
    fixed_graph
        Whether the neighbours must be the same in every step.
    two_way
        Whether edges must go both ways.
    compressor
        What the theory asks of the parameter `compressor`: "any", "contractive", or "exact" where models themselves are
        sent, so that what compression loses never fades.
    hessian
        Whether the oracle must give second derivatives.
    also
        Further conditions. Solvers with a `step_size` that is a part of 1/L need no word: L is asked for then.
    """

    models: Literal["one", "own"] = "one"
    pace: Literal["rounds", "own"] = "rounds"
    network: Literal["none", "graph"] = "none"
    weights: Literal["any", "doubly-stochastic", "symmetric"] = "any"
    fixed_graph: bool = False
    two_way: bool = False
    compressor: Literal["any", "contractive", "exact"] = "any"
    hessian: bool = False
    also: tuple[Condition, ...] = ()

    def words(self) -> str:
        """Return what is asked of problem, network and compressor, in a line; empty where nothing is."""
        network = f"a {'fixed ' if self.fixed_graph else ''}network"
        network += " of edges that go both ways" if self.two_way else ""
        network += f" with {self.weights.replace('-', ' ')} weights" if self.weights != "any" else ""
        asked = (
            "second derivatives" if self.hessian else "",
            network if self.network == "graph" else "",
            f"{_ARTICLES[self.compressor]} {self.compressor} compressor" if self.compressor != "any" else "",
            *(condition.words for condition in self.also),
        )
        return "; ".join(words for words in asked if words)
