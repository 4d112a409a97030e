"""The requirements of a solver, as data: one declaration per solver, `needs = Needs(...)` on its class.

From it, the driver reads how to run a solver, and `hpcopt.solvers.objections` whether the solver can run in a setting.
A solver's guarantees (its floor, whether it minimises, whether it draws random numbers) are separate attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hpcopt.fabric.heterogeneity import Heterogeneity
from hpcopt.problems.formulation import Formulation
from hpcopt.topology.hubs import HubNetwork
from hpcopt.topology.mixing import Mixing


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The setting in which a solver is to run; None for anything that is not known yet.

    Parameters
    ----------
    problem
        The objective, which determines what its oracle offers.
    d
        Number of coordinates of a model; known once the data are read.
    topology
        The cluster's mixing matrix, if it has one; known once the cluster is set up.
    hubs
        The cluster's hub network, if it has one; known once the cluster is set up.
    rates
        Whether the cluster's workers have operating rates.
    heterogeneity
        The heterogeneity of the cluster's nodes and links.
    virtual
        Whether the nodes are virtual; known once the cluster is set up.
    fitting
        Whether the purpose of the run is to fit a model to the data.
    """

    problem: Formulation | None = None
    d: int | None = None
    topology: Mixing | None = None
    hubs: HubNetwork | None = None
    rates: bool = False
    heterogeneity: Heterogeneity | None = None
    virtual: bool | None = None
    fitting: bool = False


@dataclass(frozen=True)
class Objection:
    """A reason why a solver should not run in a setting.

    Parameters
    ----------
    key
        The key of the specification to change, for example "cluster.topology"; keys of the solver's own table begin
        with "solver.".
    text
        What is required and what was given, in one line.
    can_be_forced
        Whether the solver could run nevertheless, outside its convergence theory.
    """

    key: str
    text: str
    can_be_forced: bool


@dataclass(frozen=True)
class Condition:
    """A requirement of a single solver, or one that depends on its parameters.

    Parameters
    ----------
    words
        The requirement in a few words, for tables.
    objection
        A function of a solver and a setting; returns None if the requirement is met or can't be checked yet.
    """

    words: str
    objection: Callable[[Any, Setting], Objection | None]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a solver requires of the driver, the problem, the topology and its compressor.

    Parameters
    ----------
    models
        "one": when yielded, the model is the same on all nodes; "own": each node has its own model, and the mean model
        and the distance of the nodes from it are measured.
    pace
        "rounds": synchronous, all nodes take part in each round; "own": asynchronous, each node iterates and yields
        by itself, and only surveys (non-blocking reductions) can measure the run.
    topology
        "none"; "graph": nodes communicate with their neighbours in the cluster's topology only; "hubs": in the
        cluster's hub network.
    weights
        What the theory requires of the mixing matrix: "any", "doubly-stochastic" (mixing preserves the mean), or
        "symmetric" in addition.
    fixed_graph
        Whether the neighbours must be the same in every step.
    two_way
        Whether the topology must be undirected.
    compressor
        What the theory requires of the parameter `compressor`: "any", "contractive", or "exact" if the models
        themselves are sent, since the compression error would then not vanish.
    hessian
        Whether the oracle must provide second derivatives.
    composite
        Whether the penalty may be one that is not smooth, such as "l1": the solver takes gradients of the loss alone
        and the whole penalty by its proximal operator.
    rates
        Whether nodes make their steps in time slots, so that operating rates have a meaning.
    rowless
        Whether nodes without rows may take part: the dedicated hubs of a hub network.
    also
        Further conditions. A `step_size` that is a multiple of 1/L needs no declaration: it implies that L is required.
    """

    models: Literal["one", "own"] = "one"
    pace: Literal["rounds", "own"] = "rounds"
    topology: Literal["none", "graph", "hubs"] = "none"
    weights: Literal["any", "doubly-stochastic", "symmetric"] = "any"
    fixed_graph: bool = False
    two_way: bool = False
    compressor: Literal["any", "contractive", "exact"] = "any"
    hessian: bool = False
    composite: bool = False
    rates: bool = False
    rowless: bool = False
    also: tuple[Condition, ...] = ()

    def words(self) -> str:
        """Return the requirements on problem, topology and compressor in one line; empty if there are none."""
        topology = f"{'fixed ' if self.fixed_graph else ''}{'undirected ' if self.two_way else ''}topology"
        topology += f" with {self.weights.replace('-', ' ')} weights" if self.weights != "any" else ""
        asked = (
            "second derivatives" if self.hessian else "",
            topology if self.topology == "graph" else "hub network" if self.topology == "hubs" else "",
            f"{self.compressor} compressor" if self.compressor != "any" else "",
            *(condition.words for condition in self.also),
        )
        return "; ".join(words for words in asked if words)
