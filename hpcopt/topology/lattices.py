"""Rectangles of nodes: the grid, and the torus, which is periodic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from hpcopt.checks import at_least
from hpcopt.errors import InputError
from hpcopt.topology.base import Graph, Topology, from_networkx, register
from hpcopt.topology.layout import rectangle


@dataclass(frozen=True, kw_only=True)
class _Rectangle(Topology):
    """Nodes in rows, numbered row by row."""

    shortest: ClassVar[int]
    joined: ClassVar[bool]
    why: ClassVar[str]

    rows: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rows:
            at_least(self.shortest, rows=self.rows)

    def sides(self, n: int) -> tuple[int, int]:
        """Return the rows and columns of `n` nodes, as square as possible if `rows` is 0.

        Raises
        ------
        InputError
            If `n` nodes do not fill such a rectangle.
        """
        if self.rows:
            rows, rest = self.rows, n % self.rows
            if rest or n // rows < self.shortest:
                raise InputError(
                    f"rows: expected a divisor of the {n} nodes, with at least {self.shortest} columns "
                    f"({self.why}), got {rows}"
                )
            return rows, n // rows
        fitting = [rows for rows in range(self.shortest, math.isqrt(n) + 1) if n % rows == 0]
        if not fitting:
            raise InputError(
                f"{self.name}: {n} nodes do not fill a rectangle with both sides at least {self.shortest} ({self.why})"
            )
        return fitting[-1], n // fitting[-1]

    def graphs(self, n: int, seed: int) -> tuple[Graph, ...]:  # noqa: ARG002
        import networkx as nx

        rows, columns = self.sides(n)
        lattice = nx.grid_2d_graph(rows, columns, periodic=self.joined)
        numbered = nx.relabel_nodes(lattice, {(i, j): i * columns + j for i, j in lattice})
        return (from_networkx(numbered, rectangle(rows, columns, closed=self.joined)),)

    def words(self, n: int) -> str:
        rows, columns = self.sides(n)
        return f"{self.name} {rows} x {columns}"


@register("grid")
@dataclass(frozen=True, kw_only=True)
class Grid(_Rectangle):
    """Two-dimensional grid, each node connected to its nearest neighbours: degree 2 to 4, spectral gap O(1/n).

    Parameters
    ----------
    rows
        Number of rows; 0: as square as n allows.
    """

    shortest = 2
    joined = False
    why = "one row would be a path"


@register("torus")
@dataclass(frozen=True, kw_only=True)
class Torus(_Rectangle):
    """Two-dimensional grid with periodic boundaries: degree 4, spectral gap O(1/n).

    Parameters
    ----------
    rows
        Number of rows; 0: as square as n allows.
    """

    rules = (*Topology.rules, "authors")
    shortest = 3
    joined = True
    why = "a side of 2 would have double edges"
