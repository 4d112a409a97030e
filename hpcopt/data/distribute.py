"""From the part that a process has read to the shards of its nodes: one exchange, then one reordering.

The partition determines the order of a shard's rows, so a shard is the same for any number of processes. With one
process nothing is sent, and shards are views of one table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.partition import Assignment
from hpcopt.data.table import LARGEST_INT32, Features, Part, Table, csr
from hpcopt.fabric.interface import Cluster, Group


def distribute(part: Part, assignment: Assignment, cluster: Cluster) -> dict[int, Table]:
    """Send every row to the process that hosts its node. Collective over `cluster.processes`.

    Parameters
    ----------
    part
        The rows that this process has read.
    assignment
        Owner (an index into the holders) and place of all `part.total` rows, the same on all processes.

    Returns
    -------
    dict of int to Table
        The shard of each node of this process, possibly without rows; shards may share memory.
    """
    table, rows = part.table, part.rows
    holders = np.array(cluster.holders, dtype=np.int32)
    if cluster.processes.size > 1:
        carrier = np.array([cluster.process_of(node) for node in cluster.holders])
        table, rows = _exchange(part, carrier[assignment.owner[rows]], cluster.processes)
    owner = holders[assignment.owner[rows]]
    order = np.lexsort((assignment.place[rows], owner))
    if (order != np.arange(len(order))).any():
        table, owner = table.take(order), owner[order]
    nodes = cluster.local_nodes
    bounds = np.searchsorted(owner, np.arange(nodes.start, nodes.stop + 1))
    return {node: table.between(bounds[i], bounds[i + 1]) for i, node in enumerate(nodes)}


def _exchange(part: Part, to: NDArray[np.int64], group: Group) -> tuple[Table, NDArray[np.int64]]:
    """Send each row i to the process `to[i]`; return the rows received and their row numbers."""
    picks = [np.flatnonzero(to == process) for process in range(group.size)]
    rows = group.alltoall([part.rows[pick] for pick in picks])
    y = group.alltoall([part.table.targets[pick] for pick in picks])
    send = _exchange_sparse if part.table.sparse else _exchange_dense
    X = send([part.table.X[pick] for pick in picks], part.table.d, group)
    return Table(X, np.concatenate(y)), np.concatenate(rows)


def _exchange_dense(pieces: list[Features], d: int, group: Group) -> Features:
    return np.concatenate(group.alltoall([piece.ravel() for piece in pieces])).reshape(-1, d)


def _exchange_sparse(pieces: list[Features], d: int, group: Group) -> Features:
    # The width of indices depends on the number of entries on a process; in messages it must be the same for all.
    width = np.int32 if d <= LARGEST_INT32 else np.int64
    data = group.alltoall([piece.data for piece in pieces])
    indices = group.alltoall([piece.indices.astype(width, copy=False) for piece in pieces])
    lengths = group.alltoall([np.diff(piece.indptr).astype(np.int64) for piece in pieces])
    return csr(data, indices, lengths, d)
