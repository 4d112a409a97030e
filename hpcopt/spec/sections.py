"""The tables of a specification: their keys, types, defaults, and what must hold between them.

A key exists once it is a field here: messages, `--set` and the resolved specification in `run.json` follow
from it. A key that contradicts another one is refused, since its author believes that it does
something; keys of the virtual cluster pass on MPI ranks, so that one file serves both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from hpcopt.data.labels import ChosenClasses
from hpcopt.data.recipe import RECIPES
from hpcopt.data.request import GENERATED, RECIPE_KEYS, SOURCES, default_partition
from hpcopt.errors import InputError
from hpcopt.fabric.heterogeneity import SPREADS, Departure, Distribution, Heterogeneity, Pause
from hpcopt.fabric.window import Windows
from hpcopt.portions import portion
from hpcopt.problems.losses import LOSSES
from hpcopt.registry import nearest

Positive = Annotated[float, Meta(gt=0)]
AtLeastZero = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Strength = AtLeastZero | Annotated[str, Meta(extra={"words": '"c/n"'})]

STARTS = ("zeros", "ones", "random")
DEFAULT_WIDTH = 64  # units of a hidden layer
DEFAULT_ROUNDS = 100
GOAL_ROUNDS = 10_000  # where only goals are given


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables: frozen, no unknown keys."""


class Data(Section, frozen=True, kw_only=True):
    """Where the rows come from, and how they are spread over the nodes.

    Attributes
    ----------
    path, source
        A file, or the name of embedded or generated data: one of the two.
    test, test_fraction
        A file of test rows, or the part of the rows kept aside: one of the two at most.
    labels, test_labels
        The files with the labels of IDX files; default: those beside them, named like MNIST's.
    partition
        How rows are given to nodes; "dirichlet" needs `alpha`, "unequal" needs `fractions` (one a node), "by-label"
        takes `labels_per_node`. Default: "shuffled", but "contiguous" for generated rows that differ from node to node.
    rows
        Of generated data: how many; of a file or embedded data: only the first so many.
    features, density, condition, noise, heterogeneity
        Of generated data (`hpcopt.data.recipe.RECIPES` has each source's defaults, which are filled in).
    seed
        Of generated rows, the split and the partition; default: the run's.
    scale
        Scaling of the features, measured on the training rows.
    storage
        "f64" (eight bytes an entry) or "f32" (four); default: as the file has it, text as "f64".
    classes
        Which labels to tell apart, where the data have others or more than two.
    """

    path: str | None = None
    labels: str | None = None
    source: str | None = None
    test: str | None = None
    test_labels: str | None = None
    test_fraction: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    partition: Literal["shuffled", "contiguous", "by-label", "dirichlet", "unequal"] | None = None
    alpha: Positive | None = None
    fractions: Annotated[tuple[Positive, ...], Meta(min_length=1)] | None = None
    labels_per_node: Count | None = None
    rows: Count | None = None
    features: Count | None = None
    density: Annotated[float, Meta(gt=0, le=1)] | None = None
    condition: Annotated[float, Meta(ge=1)] | None = None
    noise: AtLeastZero | None = None
    heterogeneity: AtLeastZero | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    scale: Literal["none", "standard", "max-abs", "global-max-abs"] = "none"
    storage: Literal["f64", "f32"] | None = None
    classes: ChosenClasses | None = None

    def __post_init__(self) -> None:
        self._check_origin()
        self._fill()
        if self.test is not None and self.source is not None:
            raise InputError("test: goes with path; with source use test_fraction")
        if self.test is not None and self.test_fraction:
            raise InputError("test_fraction: given together with test; keep one of the two")
        for key, files in (("labels", "path"), ("test_labels", "test")):
            if getattr(self, key) is not None and getattr(self, files) is None:
                raise InputError(f"{key}: goes with {files}, the IDX file that they are the labels of")
        keys = {"dirichlet": "alpha", "unequal": "fractions", "by-label": "labels_per_node"}
        for partition, key in keys.items():
            given = getattr(self, key) is not None
            if given and self.partition != partition:
                raise InputError(f'{key}: only partition = "{partition}" takes it, partition is "{self.partition}"')
            if not given and self.partition == partition and key != "labels_per_node":
                raise InputError(f'{key}: missing; partition = "{partition}" needs it')

    def _check_origin(self) -> None:
        if self.path is None and self.source is None:
            raise InputError('missing; [data] needs path = "a file" or source = "embedded or generated data"')
        if self.path is not None and self.source is not None:
            raise InputError("source: given together with path; keep one of the two")
        if self.source is not None and self.source not in SOURCES:
            raise InputError(f"source: {_no_such(self.source, SOURCES)}")
        for key in RECIPE_KEYS:
            if getattr(self, key) is not None and self.source not in GENERATED:
                raise InputError(f"{key}: only generated data take it (source = {', '.join(GENERATED)})")

    def _fill(self) -> None:
        """Give the keys whose defaults hang on the source their values, so that the resolved table tells them."""
        if self.partition is None:
            force_setattr(self, "partition", default_partition(self.source, self.heterogeneity))
        if self.source in RECIPES:
            for key in ("rows", *RECIPE_KEYS):
                if getattr(self, key) is None:
                    force_setattr(self, key, getattr(RECIPES[self.source], key))


class Problem(Section, frozen=True, kw_only=True):
    """The objective: mean loss + (l2/2) ||w||^2, and where the solver starts.

    Attributes
    ----------
    l2
        A number, or "c/n" with n the number of training rows.
    intercept
        Whether the model has one (of "softmax": one for each class); it is not penalised. Default false; the layers of
        "mlp" always have biases.
    hidden, activation
        Of "mlp": the widths of the hidden layers, default [64], and what follows each of them, default "relu".
    start
        "zeros", "ones", "random" or the path of a .npy file with the start, shape (d,); default "zeros", "random"
        where the loss is not convex.
    """

    loss: str = "logistic"
    l2: Strength = "1/n"
    l1: AtLeastZero = 0.0
    intercept: bool | None = None
    hidden: Annotated[tuple[Count, ...], Meta(min_length=1)] | None = None
    activation: Literal["relu", "tanh"] | None = None
    start: str = ""

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise InputError(f"loss: {_no_such(self.loss, LOSSES)}")
        self._check_layers()
        convex = LOSSES[self.loss].convex
        if not self.start:
            force_setattr(self, "start", "zeros" if convex else "random")
        if self.start == "zeros" and not convex:
            raise InputError(
                f'start: with loss "{self.loss}" nothing moves from zeros; expected another start, as "random"'
            )
        if isinstance(self.l2, str) and portion(self.l2, "n") is None:
            raise InputError(f'l2: expected a number >= 0 or "c/n", as in "1/n", got "{self.l2}"')
        if self.l1 > 0:
            raise InputError(f"l1: only 0 is possible, got {self.l1:g}: no solver here takes an l1 term yet")
        if self.start not in STARTS and not self.start.endswith(".npy"):
            wanted = ", ".join(f'"{name}"' for name in STARTS)
            guess = nearest(self.start, STARTS)
            raise InputError(f'start: expected {wanted} or the path of a .npy file, got "{self.start}"{guess}')

    def _check_layers(self) -> None:
        """Fill in the defaults of layers, and refuse what contradicts them."""
        if not LOSSES[self.loss].layered:
            for key in ("hidden", "activation"):
                if getattr(self, key) is not None:
                    takers = ", ".join(f'"{name}"' for name in LOSSES if LOSSES[name].layered)
                    raise InputError(f'{key}: only loss = {takers} takes it, loss is "{self.loss}"')
            force_setattr(self, "intercept", bool(self.intercept))
            return
        if self.intercept is False:
            raise InputError(f'intercept: the layers of loss "{self.loss}" always have biases; leave it out')
        if self.start == "ones":
            raise InputError(
                f'start: with loss "{self.loss}" and equal weights all units of a layer stay equal; expected another '
                'start, as "random"'
            )
        for key, default in (("intercept", True), ("hidden", (DEFAULT_WIDTH,)), ("activation", "relu")):
            if getattr(self, key) is None:
                force_setattr(self, key, default)

    def l2_value(self, n: int) -> float:
        """Return l2 as a number, given the number `n` of training rows."""
        part = portion(self.l2, "n")
        return float(self.l2) if part is None else part / n


class Stragglers(Section, frozen=True, kw_only=True):
    """What makes nodes and links unlike: `hpcopt.fabric.heterogeneity.Heterogeneity` says what each key does.

    Attributes
    ----------
    probability, slowdown
        Of being a straggler, at each step anew, and its factor.
    slow_nodes, node_slowdown
        Nodes that are slow all the time: their ranks, or which part of all; and their factor, default `slowdown`.
    distribution, spread
        How the time of a step varies around its mean; each distribution has a spread of its own by default.
    slow_links, link_slowdown
        Probability that a pair of nodes has a slow link, and its factor.
    pauses, departures
        Tables { node, at, seconds } and { node, at }.
    """

    probability: Fraction = 0.0
    slowdown: Factor = 10.0
    slow_nodes: Fraction | tuple[Annotated[int, Meta(ge=0)], ...] = 0.0
    node_slowdown: Factor | None = None
    distribution: Distribution = "constant"
    spread: AtLeastZero | None = None
    slow_links: Fraction = 0.0
    link_slowdown: Factor = 10.0
    pauses: tuple[Pause, ...] = ()
    departures: tuple[Departure, ...] = ()

    def __post_init__(self) -> None:
        if self.node_slowdown is None:
            force_setattr(self, "node_slowdown", self.slowdown)
        if self.distribution == "constant":
            if self.spread is not None:
                names = ", ".join(f'"{name}"' for name in SPREADS)
                raise InputError(f"spread: given without a distribution that has one; give distribution = {names}")
            return
        usual, most = SPREADS[self.distribution]
        if self.spread is None:
            force_setattr(self, "spread", usual)
        elif self.spread > most:
            raise InputError(f'spread: expected at most {most:g} with "{self.distribution}", got {self.spread:g}')

    def stranger(self, size: int) -> str | None:
        """Return what is wrong with the first node named that is none of `size`; None if there is no such node."""
        slow = self.slow_nodes if isinstance(self.slow_nodes, tuple) else ()
        named = {
            "slow_nodes": slow,
            "pauses": [pause.node for pause in self.pauses],
            "departures": [departure.node for departure in self.departures],
        }
        for key, nodes in named.items():
            for node in nodes:
                if node >= size:
                    return f"{key}: no node {node} among {size}; they are counted from 0"
        return None


class ClusterTable(Section, frozen=True, kw_only=True):
    """The nodes and, on the virtual cluster, their network.

    Attributes
    ----------
    kind
        "mpi": the ranks of the job; "virtual": `workers` nodes in one process; "auto": the job's ranks.
    workers
        Number of nodes of a virtual cluster.
    latency, bandwidth
        Seconds a message, bytes a second (virtual; on ranks slow links are so much slower than this bandwidth).
    flops, speeds
        Work a second of a node, and factors of it, one a node, where nodes differ (virtual).
    collective
        How a reduction's messages travel in virtual time: "tree" or "star".
    links
        What messages share in virtual time: "pairs", nothing, each pair of nodes has a link of its own; "ports", the
        one way out of a node and the one way into a node.
    stragglers
        Nodes and links that are slower than others, always or now and then.
    reduction
        "fast": the MPI library's; "ordered": in rank order, equal to the last bit on any cluster.
    windows
        How ranks of MPI reach into each other's memory, for asynchronous solvers: by its "one-sided" operations, by
        "two-sided" messages, or, "auto", by the former where a test at the start finds that they work.
    topology
        The network of decentralised solvers: `name` and parameters, the fields of the registered dataclass;
        default "ring".
    """

    kind: Literal["auto", "mpi", "virtual"] = "auto"
    workers: Count | None = None
    latency: AtLeastZero = 1e-5
    bandwidth: Positive = 1e9
    flops: Positive = 1e9
    speeds: Annotated[tuple[Positive, ...], Meta(min_length=1)] | None = None
    collective: Literal["tree", "star"] = "tree"
    reduction: Literal["fast", "ordered"] = "fast"
    windows: Windows = "auto"
    links: Literal["pairs", "ports"] = "pairs"
    topology: dict[str, Any] | str | None = None
    stragglers: Stragglers | None = None

    def __post_init__(self) -> None:
        if self.speeds is not None and self.workers is not None and len(self.speeds) != self.workers:
            raise InputError(f"speeds: expected one for each of the {self.workers} workers, got {len(self.speeds)}")
        stranger = None if self.workers is None else self.stranger(self.workers)
        if stranger is not None:
            raise InputError(stranger)

    def stranger(self, size: int) -> str | None:
        """Return what is wrong with the first node named in the tables that is none of `size`; None if all are."""
        stranger = None if self.stragglers is None else self.stragglers.stranger(size)
        return stranger and f"stragglers.{stranger}"

    def heterogeneity(self, seed: int) -> Heterogeneity:
        """Return the table `stragglers` as the fabric takes it, or what no table stands for."""
        given = {} if self.stragglers is None else msgspec.structs.asdict(self.stragglers)
        return Heterogeneity(seed=seed, **given)


class Stop(Section, frozen=True, kw_only=True):
    """When a run ends: at the first of these that is reached.

    An empty table stands for rounds = 100; goals without any budget get rounds = 10000, so that every run ends.

    Attributes
    ----------
    rounds, iterations, seconds, bytes
        Budgets: communication rounds; steps of the solver's listing; seconds on the run's clock; bytes sent by all
        nodes together.
    target, gradient_norm
        Goals: objective; Euclidean norm of its gradient.
    target_on
        Whose objective the target is for, where the nodes' models differ: the mean model's ("objective"), on average
        the nodes' own ("mean_objective"), or the worst node's ("worst_objective").
    relative_gradient
        Goal: that norm as a part of the norm at the start.
    gap
        Goal: the certified bound ||gradient||^2 / (2 l2) on f(w) - f*; needs l2 > 0 and no intercept.
    """

    rounds: Annotated[int, Meta(ge=0)] | None = None
    iterations: Annotated[int, Meta(ge=0)] | None = None
    seconds: Positive | None = None
    bytes: Positive | None = None
    target: float | None = None
    target_on: Literal["objective", "mean_objective", "worst_objective"] = "objective"
    gradient_norm: Positive | None = None
    relative_gradient: Positive | None = None
    gap: Positive | None = None

    def resolved(self) -> Stop:
        """Return the table with a budget of rounds where it has no budget at all."""
        if any(getattr(self, key) is not None for key in ("rounds", "iterations", "seconds", "bytes")):
            return self
        empty = all(getattr(self, key) is None for key in self.__struct_fields__ if key != "target_on")
        return msgspec.structs.replace(self, rounds=DEFAULT_ROUNDS if empty else GOAL_ROUNDS)


class Output(Section, frozen=True, kw_only=True):
    """What is kept of a run, and where.

    Attributes
    ----------
    folder
        Default: runs/<the specification's name>; without a file, nothing is written.
    record_every
        Record each so-many-th iteration; 0: the first and the last only. Of asynchronous solvers: each time all nodes
        together have made so many steps for every one of them; on the wall clock, as often as takes little time.
    record_seconds
        Of asynchronous solvers: record each time so many seconds have passed, instead.
    timeline
        Whether to keep who computed, waited and exchanged when.
    """

    folder: str | None = None
    record_every: Annotated[int, Meta(ge=0)] = 1
    record_seconds: Positive | None = None
    timeline: bool = False


def _no_such(given: str, known: Iterable[str]) -> str:
    names = ", ".join(f'"{name}"' for name in known)
    return f'expected one of {names}, got "{given}"{nearest(given, known)}'
