"""From a topology's parameters to its mixing matrix: the only entry point."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.sparse import csr_array

from hpcopt.capacity import ask
from hpcopt.errors import InputError
from hpcopt.topology.base import Graph, Topology
from hpcopt.topology.connected import apart
from hpcopt.topology.mixing import Mixing
from hpcopt.topology.weights import weigh

_NODE = 1_000  # bytes per node of a graph, at least


def build(topology: Topology, n: int, seed: int = 0) -> Mixing:
    """Return the mixing matrix (or the sequence of them) of `n` nodes.

    Parameters
    ----------
    topology
        A registered topology with its parameters.
    n
        Number of nodes, at least 1. A single node has no neighbours, whatever the topology.
    seed
        The run's seed, for random topologies without a seed of their own.

    Raises
    ------
    InputError
        If the topology cannot have `n` nodes, or is not connected.
    """
    if n == 1:
        return Mixing(topology.name, _rule(topology, ()), (csr_array([[1.0]]),))
    graphs = connected_graphs(topology, n, seed)
    rule = _rule(topology, graphs)
    return Mixing(topology.words(n), rule, tuple(weigh(graph, rule) for graph in graphs))


def connected_graphs(topology: Topology, n: int, seed: int) -> tuple[Graph, ...]:
    """Return the graphs of `n` >= 2 nodes, see `Topology.graphs`; raises as `build` does."""
    ask(n * _NODE, f"{topology.name}: {n:,} nodes")
    graphs = topology.graphs(n, seed)
    check_connected(graphs, topology.words(n))
    return graphs


def check_connected(graphs: Sequence[Graph], name: str) -> None:
    """Raise an error for graphs that are not connected, naming two nodes without a path between them.

    Raises
    ------
    InputError
        In that case; a node without edges is named as such.
    """
    found = apart(graphs)
    if found is None:
        return
    first, second = found
    alone = next((node for node in (second, first) if not any((graph.pairs == node).any() for graph in graphs)), None)
    if alone is not None:
        raise InputError(f"{name}: not connected; node {alone} of nodes 0 to {graphs[0].n - 1} has no edge")
    raise InputError(f"{name}: not connected; there is no path from node {first} to node {second}")


def _rule(topology: Topology, graphs: Sequence[Graph]) -> str:
    """Return the rule that "auto" stands for."""
    if topology.weights != "auto":
        return topology.weights
    if any(graph.weights is not None for graph in graphs):
        return "file"
    return "uniform" if topology.one_way() else "metropolis"
