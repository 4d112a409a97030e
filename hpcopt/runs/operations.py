"""The tables of operations of a run's nodes, and their collection on the process that writes them."""

from __future__ import annotations

import numpy as np

from hpcopt.fabric.interface import Group, Node
from hpcopt.results.operations import csv_of


class OperationTables:
    """The tables of the nodes that this process hosts."""

    def __init__(self) -> None:
        self._rows: dict[int, str] = {}

    def begin(self, node: Node) -> None:
        """Start counting on the node, after all other observers are attached."""
        node.tabulate()

    def end(self, node: Node) -> None:
        """Keep the table of a node that has reached the end of the run; a run resumed from one without has none."""
        if node.operations is not None:
            self._rows[node.first_rank] = csv_of(node.first_rank, node.operations.lines())

    def gathered(self, processes: Group) -> str | None:
        """Return the rows of all nodes on the first process, None elsewhere and where there are none; collective."""
        own = "".join(rows for _, rows in sorted(self._rows.items())).encode()
        parts = processes.gather_varying(np.frombuffer(own, dtype=np.uint8))
        return None if parts is None else b"".join(map(bytes, parts)).decode() or None
