"""The table of a hub network: its keys, and the network of a number of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

import msgspec
import msgspec.inspect as kinds
import numpy as np

from hpcopt.annotations import Count, Whole, check_types, explained, named, shown
from hpcopt.errors import InputError
from hpcopt.registry import nearest
from hpcopt.topology.base import TOPOLOGIES, Graph, Topology
from hpcopt.topology.build import connected_graphs
from hpcopt.topology.hubs.arrange import check_members, default_hubs, evenly, levels_above, split
from hpcopt.topology.hubs.matrix import HubRule
from hpcopt.topology.hubs.network import HubNetwork, Level, Placement, counted, workers_in_words


@dataclass(frozen=True, kw_only=True)
class Hubs:
    """A hub network: how many hubs and workers, in which groups, on which graph.

    Ranks are contiguous: a hub, its workers, the next hub, ...; uneven numbers are spread as evenly as possible, larger
    ones first. If neither `hubs` nor `workers_per_hub` nor `members` is given, the number of hubs is the square root of
    the number of workers, rounded down.

    Parameters
    ----------
    hubs
        Number of hubs, over which the workers are spread evenly. Default: the square root of the number of workers,
        rounded down.
    workers_per_hub
        Number of workers of every hub, or a list with one number per hub. A colocated hub is one of them.
    members
        Instead of both: the ranks of each sub-network, its hub first.
    groups
        The levels above the hubs, lowest first: for each the number of its groups, or a list with the number of members
        of each group. The first hub of a group represents it.
    graph
        The graph on which the hubs (the groups of the last level, if there are any) mix: an undirected topology, `name`
        (`hpcopt list topologies`) and its parameters, or the name alone.
    matrix
        The rule of the hub matrix H, with H b = b for the hubs' weights b: "laplacian": one constant for all edges;
        "metropolis": by the weights and degrees of both ends, faster where weights differ; "auto": the exact mean on a
        complete graph, else as "laplacian".
    placement
        "colocated": a worker is its sub-network's hub, too; "dedicated": hubs are nodes of their own, without rows.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, keys that contradict one another, a hub without workers, a node in
        two sub-networks, a level without members, a graph that is directed.
    """

    hubs: Count | None = None
    workers_per_hub: Whole | tuple[Whole, ...] | None = None
    members: tuple[tuple[Whole, ...], ...] | None = None
    groups: tuple[Whole | tuple[Whole, ...], ...] = ()
    graph: Annotated[str, named(TOPOLOGIES)] | dict[str, Any] = "complete"
    matrix: HubRule = "auto"
    placement: Placement = "colocated"

    def __post_init__(self) -> None:
        check_types(self)
        sizes = self.workers_per_hub
        if self.members is not None:
            other = next((key for key in ("hubs", "workers_per_hub") if getattr(self, key) is not None), None)
            if other is not None:
                raise InputError(f"members: contradicts {other}; give one of them")
            check_members(self.members, self._own)
        if sizes == ():
            raise InputError("workers_per_hub: expected a number, or one per hub, got none")
        if sizes == 0 or (isinstance(sizes, tuple) and 0 in sizes):
            which = f"hub {sizes.index(0)}" if isinstance(sizes, tuple) else "a hub"
            raise InputError(f"workers_per_hub: {which} has no workers; expected at least 1")
        if isinstance(sizes, tuple) and self.hubs not in {None, len(sizes)}:
            raise InputError(f"workers_per_hub: expected one for each of the {self.hubs} hubs, got {len(sizes)}")
        known = self._known
        if known is not None:
            levels_above(range(len(known)), self.groups)
        _ = self.topology

    @property
    def topology(self) -> Topology:
        """The topology of the hubs, with its parameters."""
        return _topology(self.graph)

    def network(self, nodes: int, seed: int = 0) -> HubNetwork:
        """Return the hub network of `nodes` nodes.

        Parameters
        ----------
        nodes
            Number of nodes, dedicated hubs among them.
        seed
            The run's, for random graphs without a seed of their own.

        Raises
        ------
        InputError
            If the network has another number of nodes (the message says which), or the graph cannot be one of these
            hubs or is not connected.
        """
        sizes = self._sizes(nodes, self._own, "node")
        first = self.members or split(range(nodes), [size + self._own for size in sizes])
        levels: tuple[Level, ...] = (first, *levels_above([group[0] for group in first], self.groups))
        topology, n = self.topology, len(levels[-1])
        graph = _graph(topology, n, seed)
        return HubNetwork(self.placement, levels, graph, topology.name if n == 1 else topology.words(n), self.matrix)

    def nodes_for(self, workers: int | None) -> int | None:
        """Return the number of nodes that the network has with so many workers.

        Parameters
        ----------
        workers
            None: as many as the table itself says.

        Returns
        -------
        int or None
            None if neither says.

        Raises
        ------
        InputError
            If the network has another number of workers.
        """
        sizes = self._known if workers is None else self._sizes(workers, 0, "worker")
        return None if sizes is None else sum(sizes) + self._own * len(sizes)

    @property
    def _own(self) -> int:
        """Nodes of a sub-network beside its workers."""
        return 1 if self.placement == "dedicated" else 0

    @property
    def _known(self) -> tuple[int, ...] | None:
        """The number of workers of each hub if the table says so whatever the number of nodes, else None."""
        if self.members is not None:
            return tuple(len(group) - self._own for group in self.members)
        if isinstance(self.workers_per_hub, tuple):
            return self.workers_per_hub
        if self.workers_per_hub is not None and self.hubs is not None:
            return (self.workers_per_hub,) * self.hubs
        return None

    def _sizes(self, total: int, own: int, noun: str) -> tuple[int, ...]:
        """Return the number of workers of each hub, where workers and `own` a hub make `total` nodes or workers."""
        known = self._known
        if known is not None:
            key = "workers_per_hub" if self.members is None else "members"
            self._check_filled(key, known, own, noun, total)
            return known
        if self.workers_per_hub is not None:
            assert isinstance(self.workers_per_hub, int), "a list is known"
            hubs = max(1, round(total / (self.workers_per_hub + own)))
            sizes = (self.workers_per_hub,) * hubs
            self._check_filled("workers_per_hub", sizes, own, noun, total)
            return sizes
        hubs = self.hubs or default_hubs(total, own)
        self._check_filled("hubs", (1,) * hubs, own, noun, total, more=True)
        return evenly(total - own * hubs, hubs)

    def _check_filled(
        self, key: str, sizes: tuple[int, ...], own: int, noun: str, total: int, *, more: bool = False
    ) -> None:
        """Refuse a `total` of nodes or workers other than the hubs need, or below it; the message says how many."""
        needed = sum(sizes) + own * len(sizes)
        if needed == total or (more and needed < total):
            return
        hubs = counted(len(sizes), "dedicated hub" if self._own else "hub")
        need = "needs" if len(sizes) == 1 else "need"
        least = "at least " if more else ""
        raise InputError(
            f"{key}: {hubs} with {least}{workers_in_words(sizes)} {need} {least}{counted(needed, noun)}; "
            f"there {'is' if total == 1 else 'are'} {total:,}"
        )


def _topology(table: str | Mapping[str, Any]) -> Topology:
    """Return the topology that a table, or a name alone, describes; raises `InputError` as `Hubs` does."""
    parameters = {"name": table} if isinstance(table, str) else dict(table)
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"graph.name: expected the name of a topology, got {'none' if name is None else shown(name)}")
    try:
        kind = TOPOLOGIES[name]
    except InputError as error:
        raise InputError(f"graph: {error}") from None
    keys = [field.name for field in fields(kind)]
    unknown = next((key for key in parameters if key not in keys), None)
    if unknown is not None:
        raise InputError(f"graph.{unknown}: unknown key{nearest(unknown, keys)} (known: {', '.join(keys)})")
    try:
        topology = msgspec.convert(parameters, kind)
    except msgspec.ValidationError as error:
        where, message = explained(error, kinds.type_info(kind), parameters)
        raise InputError(f"{'.'.join(map(str, ('graph', *where)))}: {message}") from None
    if topology.one_way():
        raise InputError(f"graph: expected an undirected graph that is the same in all steps, got {name}, directed")
    if topology.weights != "auto":
        raise InputError('graph.weights: expected "auto", since `matrix` says how the hubs\' weights are made')
    return topology


def _graph(topology: Topology, n: int, seed: int) -> Graph:
    """Return the graph of `n` hubs; raises `InputError` as `Hubs.network` does."""
    if n == 1:
        return Graph(1, np.zeros((0, 2), dtype=np.int64))
    try:
        graphs = connected_graphs(topology, n, seed)
    except InputError as error:
        raise InputError(f"graph: {error}") from None
    if len(graphs) > 1:
        raise InputError(f"graph: expected one that is the same in all steps, got {topology.name}")
    if graphs[0].weights is not None:
        raise InputError(
            f"graph: expected edges without weights, since `matrix` says how the hubs' weights are made; "
            f"{topology.words(n)} has some"
        )
    return graphs[0]
