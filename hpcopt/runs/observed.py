"""What is observed of a run's nodes besides their records: tables of operations and timelines, if they are wanted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.fabric.interface import Cluster, Group, Node
from hpcopt.results.output import Output
from hpcopt.runs.operations import OperationTables
from hpcopt.runs.timelines import Timelines


class Observed:
    """The observations of the nodes that this process hosts.

    Parameters
    ----------
    written
        Whether the run has a folder; otherwise nothing is observed.
    """

    def __init__(self, cluster: Cluster, output: Output, *, written: bool) -> None:
        self._timelines = Timelines(cluster) if written and output.timeline else None
        self._operations = OperationTables() if written and output.operations else None

    def begin(self, node: Node) -> None:
        """Start observing the node."""
        if self._timelines is not None:
            self._timelines.begin(node)
        if self._operations is not None:  # last, to see operations with all that belongs to them
            self._operations.begin(node)

    def end(self, node: Node) -> None:
        """Note that the node has reached the end of the run."""
        if self._operations is not None:
            self._operations.end(node)

    def gathered(self, processes: Group) -> tuple[str | None, NDArray[np.float64] | None]:
        """Return the rows of operations.csv and the spans of all nodes, as far as they are wanted; collective.

        On the first of the processes, those of the nodes that remain; the others have none of the rows.
        """
        return (
            None if self._operations is None else self._operations.gathered(processes),
            None if self._timelines is None else self._timelines.gathered(processes),
        )
