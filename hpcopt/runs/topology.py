"""The topology of a decentralised run: built once for all ranks, and drawn with the bytes sent over its edges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hpcopt.errors import InputError
from hpcopt.fabric.interface import Cluster
from hpcopt.results import folder as folders
from hpcopt.results.topology import Diagram, draw_topology
from hpcopt.runs.once import made_once
from hpcopt.spec.parts import build_part
from hpcopt.spec.specification import Specification
from hpcopt.topology import TOPOLOGIES, Mixing, build, lay_out


def connected(spec: Specification, cluster: Cluster) -> Mixing:
    """Return the mixing matrix of the nodes; one process builds it, so that the others need not import networkx.

    Raises
    ------
    InputError
        On every process, if the topology is invalid for this number of nodes.
    """

    def make() -> Mixing:
        assert spec.topology is not None, "solvers that need a topology have a ring by default"
        try:
            mixing = build(spec.topology, cluster.size, spec.seed)
        except InputError as error:
            raise InputError(f"cluster.topology: {error}") from None
        mixing.words()  # computes the spectral gap, so that it is sent along
        return mixing

    return made_once(cluster.processes, make)


def draw_edges(described: Mapping[str, Any], folder: Path, picture: Path) -> None:
    """Draw the topology of a run, with the bytes sent over each edge in both directions together, into `picture`.

    For a solver without a topology, all pairs of nodes that exchanged messages are drawn.

    Parameters
    ----------
    described
        The run's run.json.
    folder
        The run's folder, with its edges.csv.

    Raises
    ------
    MissingLibraryError
        Without matplotlib.
    """
    nodes, seed = described.get("nodes", 1), described.get("seed", 0)
    edges = folders.read_edges(folder, nodes)
    has_topology = "topology" in described
    table = described["specification"].get("cluster", {}).get("topology") if has_topology else {"name": "complete"}
    topology = build_part(TOPOLOGIES, table)
    mixing, layout = build(topology, nodes, seed), lay_out(topology, nodes, seed)
    carried: dict[tuple[int, int], float] = {}
    for sender, receiver, size in edges if edges is not None else ():
        pair = (sender, receiver) if mixing.one_way else (min(sender, receiver), max(sender, receiver))
        carried[pair] = carried.get(pair, 0.0) + float(size)
    pairs = mixing.pairs if has_topology else np.array(sorted(carried), dtype=np.int64).reshape(-1, 2)
    sent = np.array([carried.get((first, second), 0.0) for first, second in pairs.tolist()])
    diagram = Diagram(layout.positions, pairs, one_way=mixing.one_way, box=layout.box, sent=sent)
    words = mixing.words().replace(": ", "\n") if has_topology else f"between any of the {nodes} nodes"
    draw_topology(diagram, picture, f"{described['label']}: bytes over each edge\n{words}")
