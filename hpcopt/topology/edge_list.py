"""A user-defined topology, from a file of edges.

A line is `i j` or `i j weight`, nodes counted from 0; what follows a # is a comment:

    # three nodes, with node 0 in the middle
    0 1 0.25
    0 2 0.25
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcopt.errors import InputError
from hpcopt.files import text_of
from hpcopt.topology.base import Graph, Topology, register

# Plain decimal numbers only: Python also accepts 1_000 and digits of other scripts.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@register("file")
@dataclass(frozen=True, kw_only=True)
class File(Topology):
    """The edges listed in a file, one per line: `i j` or `i j weight`.

    Parameters
    ----------
    path
        The file.
    directed
        Whether `i j` means that i sends to j but not j to i.
    """

    rules = (*Topology.rules, "file")

    path: str
    directed: bool = False

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        graph = read(Path(self.path), n, directed=self.directed)
        if self.weights == "file" and graph.weights is None:
            raise InputError(
                f'weights: "file" requires a third number, the weight, on each line of {self.path}, which has none'
            )
        return (graph,)

    def one_way(self) -> bool:
        return self.directed

    def words(self, n: int) -> str:  # noqa: ARG002
        return Path(self.path).name


def read(path: Path, n: int, *, directed: bool) -> Graph:
    """Return the graph of `n` nodes that the file lists.

    Raises
    ------
    InputError
        For a file that cannot be read, and for a line that is not an edge, naming file and line.
    """
    try:
        lines = text_of(path, "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"{path}: {reason}; expected a list of edges, one per line: `i j` or `i j weight`") from None
    seen: dict[tuple[int, int], int] = {}
    weights: list[float] = []
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            pair, weight = _edge(words, n)
            _check_new(pair, seen, directed=directed)
            if seen and (weight is None) == bool(weights):
                raise InputError(f"expected {'a' if weights else 'no'} weight, as on the lines before, got {line!a}")
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        seen[pair] = number
        weights += [] if weight is None else [weight]
    pairs = np.array(list(seen), dtype=np.int64).reshape(-1, 2)
    return Graph(n, pairs, directed=directed, weights=np.array(weights) if weights else None)


def _edge(words: list[str], n: int) -> tuple[tuple[int, int], float | None]:
    """Return the edge of a line, and its weight if it has one."""
    if len(words) not in {2, 3}:
        raise InputError(f"expected `i j` or `i j weight`, got {' '.join(words)!a}")
    first, second = (_node(word, n) for word in words[:2])
    if first == second:
        raise InputError(f"expected two different nodes, got {first} and {first}")
    return (first, second), _weight(words[2]) if len(words) == 3 else None


def _node(word: str, n: int) -> int:
    if not _INTEGER.fullmatch(word):
        raise InputError(f"expected a node, an integer from 0 to {n - 1}, got {word!a}")
    node = int(word)
    if not 0 <= node < n:
        raise InputError(f"expected a node from 0 to {n - 1} (there are {n}), got {node}")
    return node


def _weight(word: str) -> float:
    weight = float(word) if _NUMBER.fullmatch(word) else math.nan
    if not (weight > 0.0 and math.isfinite(weight)):
        raise InputError(f"expected a weight, a number above 0, got {word!a}")
    return weight


def _check_new(pair: tuple[int, int], seen: dict[tuple[int, int], int], *, directed: bool) -> None:
    """Raise an error for an edge that is already listed; if undirected, also in the other direction."""
    for same in (pair,) if directed else (pair, pair[::-1]):
        if same in seen:
            raise InputError(f"edge {pair[0]} {pair[1]} is already on line {seen[same]}")
