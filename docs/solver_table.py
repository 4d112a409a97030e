"""`{solver-table}`: the table of all solvers, made from the registry whenever the pages are built.

What a solver declares is printed; what an iteration sends is counted, by running a few on a small problem. A page
written by hand would disagree with the code one day.
"""

from __future__ import annotations

import re
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import hpcopt.solvers
from hpcopt.compression.identity import Identity
from hpcopt.conformance.check import made
from hpcopt.fabric.conditions import Conditions
from hpcopt.fabric.interface import Node
from hpcopt.fabric.wall.solo import SoloCluster
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.objective import Objective
from hpcopt.problems.penalties.l2 import L2
from hpcopt.problems.storage import as_matrix
from hpcopt.solvers import SOLVERS, Solver, State
from hpcopt.solvers.parts.gossip import GossipSolver
from hpcopt.topology import TOPOLOGIES, build

ROWS, FEATURES = 200, 10
ITERATIONS = 20
HEAD = ("solver", "what it does", "needs", "floor", "rounds", "doubles")
EACH = " to each neighbour"


def what_iterations_cost(solver: Solver[Any]) -> list[tuple[int, int, int]]:
    """Return (rounds, doubles per d, further doubles) of each iteration; of decentralised solvers, to each neighbour.

    The first one is left out, as it may carry what is sent once, at the start; unless there is no other.
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((ROWS, FEATURES)) * np.logspace(0, 1, FEATURES)  # so that line searches have work
    y = np.where(rng.random(ROWS) < 1.0 / (1.0 + np.exp(-X @ rng.standard_normal(FEATURES))), 1.0, -1.0)

    def program(node: Node) -> list[tuple[int, int, int]]:
        f = Objective(as_matrix(X), y, LOSSES["logistic"](), L2(weight=1.0 / ROWS), total=ROWS, meter=node.meter)
        so_far = [(0, 0, 0)]
        for state in islice(solver.rounds(node, f, solver.init(node, f, np.zeros(FEATURES))), ITERATIONS):
            none, one = (_doubles(solver, state, d) for d in (0, 1))
            so_far.append((node.ledger.solver.rounds, one - none, none))
        return so_far

    so_far = SoloCluster().run(program, Conditions(mixing=build(TOPOLOGIES["ring"](), 1)))[0]
    each = [(r - r0, a - a0, b - b0) for (r0, a0, b0), (r, a, b) in pairwise(so_far)]
    return each[1:] or each


def _doubles(solver: Solver[Any], state: State, d: int) -> int:
    if isinstance(solver, GossipSolver):
        return solver.exchanged(state, d) // 8
    return solver.doubles(state, d)


def table(pages: set[str]) -> str:
    """Return the table in Markdown; `pages` are the names of the documents there are, without suffix."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for name in SOLVERS:
        kind = SOLVERS[name]
        page = name.replace("-", "_")
        shown = f"[`{name}`]({page}.md)" if f"solvers/{page}" in pages else f"`{name}`"
        summary = (kind.__doc__ or "").splitlines()[0].rstrip(".")
        summary += ". Takes any penalty" * kind.needs.composite
        said = (
            shown,
            f"{summary}. *{_linked(kind.paper)}*",
            kind.needs.words() or "nothing",
            kind.floor or "none",
        )
        if kind.needs.pace == "own":  # who talks to whom is found out on the way
            lines.append((*said, "one a step of its own", "see its page"))
            continue
        if kind.needs.topology == "hubs":  # what is sent depends on the levels and on who is a hub
            lines.append((*said, "1, and 3 if the hubs mix", "$d$ in a sub-network, $d$ from hub to hub"))
            continue
        each = what_iterations_cost(made(kind, compressor=Identity()))
        rounds = _span([str(rounds) for rounds, _, _ in sorted(each)])
        doubles = _span([_linear(a, b) for _, a, b in sorted(each)]) + (EACH if kind.needs.models == "own" else "")
        lines.append((*said, rounds, doubles))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _span(sorted_texts: list[str]) -> str:
    first, last = sorted_texts[0], sorted_texts[-1]
    return first if first == last else f"{first} to {last}"


def _linear(slope: int, constant: int) -> str:
    """Return a d + b in TeX."""
    terms = [f"{slope if slope > 1 else ''}d"] * (slope > 0) + [str(constant)] * (constant > 0)
    return f"${' + '.join(terms)}$" if terms else "none"


def _linked(paper: str) -> str:
    return re.sub(r"arXiv (\d{4}\.\d{4,5})", r"[\g<0>](https://arxiv.org/abs/\1)", paper)


class SolverTable(SphinxDirective):
    """The directive; the page that holds it is built again when a solver's file has changed."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Return the table's nodes."""
        for file in Path(hpcopt.solvers.__file__).parent.glob("*.py"):
            self.env.note_dependency(str(file))
        return self.parse_text_to_nodes(table(self.env.found_docs))


def setup(app: Sphinx) -> dict[str, bool]:
    """Enter the directive; called by Sphinx."""
    app.add_directive("solver-table", SolverTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
