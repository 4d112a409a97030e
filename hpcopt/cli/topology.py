"""`hpcopt topology NAME --nodes N`: the spectral gap and degrees of a topology or of a hub network, and its picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from hpcopt.cli.options import at_least
from hpcopt.cli.plot import check_format
from hpcopt.outputs import check_apart, check_file
from hpcopt.spec.overrides import Override
from hpcopt.topology import TOPOLOGIES, Mixing, Topology, build, lay_out
from hpcopt.topology.edge_list import File as EdgeList
from hpcopt.topology.hubs import HubNetwork, Hubs

_NOT_SYMMETRIC = "of symmetric weights only"
_HUBS = "hubs"
_MOST_FOR_DIAMETER = 2_000  # nodes; a search from each of them


def topology(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="See: hpcopt list topologies; or hubs: a hub network.", show_default=False),
    ],
    nodes: Annotated[
        int, typer.Option("--nodes", metavar="N", parser=at_least(1), help="Number of nodes.", show_default=False)
    ],
    weights: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="auto, metropolis, max-degree, laplacian, uniform, authors or file."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", parser=at_least(0), help="Seed of a random topology.")] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter of the topology, or a key of the hub network; may be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="PICTURE", help="The picture; its suffix is the format. Default: NAME-N.png here."
        ),
    ] = None,
) -> int:
    """Describe and draw a topology: its spectral gap, degrees, diameter.

    The spectral gap determines how fast gossip between neighbours, or between the hubs of a hub network, reaches
    consensus.
    """
    from threadpoolctl import threadpool_limits

    path = output or Path(f"{name}-{nodes}.png")
    rule = [] if weights is None else [Override(f"weights={weights}", f"--weights {weights}")]
    chosen = _chosen(name, [*(overrides or []), *rule])
    graph = chosen.topology if isinstance(chosen, Hubs) else chosen
    check_format(path)
    check_file(path)
    check_apart([path], [Path(graph.path)] if isinstance(graph, EdgeList) else [])
    with threadpool_limits(1):  # on busy cores two threads of BLAS wait for each other
        if isinstance(chosen, Hubs):
            _describe_hubs(chosen.network(nodes, seed), path)
        else:
            _describe(chosen, nodes, seed, path)
    print(f"\npicture: {path}")
    return 0


def _describe(chosen: Topology, nodes: int, seed: int, path: Path) -> None:
    """Print the description of a topology, and draw it."""
    from hpcopt.results.canvas import drawing
    from hpcopt.results.topology import Diagram, draw_topology

    mixing = build(chosen, nodes, seed)
    words = mixing.words()
    _tell(words, _table(mixing))
    layout = lay_out(chosen, nodes, seed)
    diagram = Diagram(layout.positions, mixing.pairs, one_way=mixing.one_way, box=layout.box)
    with drawing(path):
        draw_topology(diagram, path, words.replace(": ", "\n"))


def _describe_hubs(network: HubNetwork, path: Path) -> None:
    """Print what there is to say about a hub network whose workers have equal weights, and draw it."""
    from hpcopt.results.canvas import drawing
    from hpcopt.results.hubs import draw_hubs
    from hpcopt.topology.hubs.layout import lay_out_hubs

    words = network.words()
    mixing = network.mixing(network.top_weights(network.weights()))
    links = zip(network.link_classes, network.links, strict=True)
    table = {
        "nodes": f"{network.size:,}",
        "hubs": f"{len(network.hubs):,}",
        "workers": f"{len(network.workers):,}",
        **{f"{name} links": f"{number:,}" for name, number in links},
        "second eigenvalue of H": f"{mixing.second_eigenvalue:.10g}",
        "spectral gap": f"{mixing.gap:.6g}",
        "mixings to halve disagreement": _steps_to_halve(mixing),
    }
    _tell(words, table)
    with drawing(path):
        draw_hubs(network, lay_out_hubs(network), path, words.replace(": ", "\n"))


def _tell(words: str, table: dict[str, str]) -> None:
    print(f"{words}\n")
    width = max(map(len, table))
    for key, value in table.items():
        print(f"  {key:<{width}}  {value}")


def _chosen(name: str, overrides: list[str]) -> Topology | Hubs:
    """Return the topology `name`, or the table of a hub network, with the parameters of `--set key=value`."""
    from hpcopt.spec.overrides import apply_overrides
    from hpcopt.spec.validation import Origin, checked

    kind: type[Topology | Hubs] = Hubs if name == _HUBS else TOPOLOGIES[name]
    parameters: dict[str, Any] = {}
    texts = apply_overrides(parameters, overrides)
    return checked(parameters, kind, origin=Origin(overrides=texts))


def _table(mixing: Mixing) -> dict[str, str]:
    """Return the properties of a mixing matrix, by name."""
    from hpcopt.topology.connected import diameter

    degrees = mixing.degrees
    small = mixing.n <= _MOST_FOR_DIAMETER
    symmetric = mixing.symmetric
    return {
        "nodes": f"{mixing.n:,}",
        "edges": f"{len(mixing.pairs):,}{' directed' if mixing.one_way else ''}",
        **({"cycle of steps": f"{mixing.period}"} if mixing.varying else {}),
        "degree": f"{degrees.min()} smallest, {degrees.mean():.4g} mean, {degrees.max()} largest",
        "diameter": f"{diameter(mixing.union):,}" if small else f"not computed beyond {_MOST_FOR_DIAMETER:,} nodes",
        "second eigenvalue": f"{mixing.second_eigenvalue:.10g}",
        "spectral gap": f"{mixing.gap:.6g}",
        "steps to halve disagreement": _steps_to_halve(mixing),
        "smallest eigenvalue": f"{mixing.smallest_eigenvalue:.6f}" if symmetric else _NOT_SYMMETRIC,
        "||I - W|| (beta)": f"{mixing.beta:.6f}" if symmetric else _NOT_SYMMETRIC,
        "symmetric": _yes_or_no(symmetric),
        "doubly stochastic": _yes_or_no(mixing.doubly_stochastic),
    }


def _steps_to_halve(mixing: Mixing) -> str:
    second = mixing.second_eigenvalue
    if second == 0.0:
        return f"none left after {mixing.period} step{'' if mixing.period == 1 else 's'}"
    return f"{math.log(2.0) / -math.log(second):,.4g}"


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
