"""The assignment of rows to nodes: pure functions of sizes, labels and a seed, so all processes agree.

`request.DataRequest` lists the rules. Nodes are numbered here among those that hold rows, `cluster.holders`. "Equal"
sizes differ by at most one, and every node gets at least one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.few_labels import rows_of_labels
from hpcopt.data.streams import Purpose, stream
from hpcopt.errors import InputError

Rule = Literal["shuffled", "contiguous", "by-label", "dirichlet", "unequal"]
MANY_CLASSES = 1000  # more distinct labels than this are assumed to be real targets


@dataclass(frozen=True)
class Assignment:
    """The destination of each row.

    Parameters
    ----------
    owner
        The holder of each row, (n,) int32: its index in `cluster.holders`.
    place
        The index of each row in its holder's shard, (n,) int64.
    """

    owner: NDArray[np.int32]
    place: NDArray[np.int64]


def assign(
    rule: Rule,
    n: int,
    nodes: int,
    seed: int,
    *,
    labels: NDArray[np.float64] | None = None,
    alpha: float | None = None,
    fractions: Sequence[float] | None = None,
    labels_per_node: int | None = None,
) -> Assignment:
    """Assign each of `n` rows to one of `nodes` nodes, each of which gets at least one.

    The order within a shard is the drawn one for "shuffled" and "unequal", otherwise that of the file.

    Parameters
    ----------
    rule
        The rule, a value of `data.partition`.
    labels
        (n,), for "by-label" and "dirichlet".
    alpha
        For "dirichlet": the concentration, above 0; smaller values give fewer classes per node.
    fractions
        For "unequal": one positive number per node; normalised.
    labels_per_node
        For "by-label": the number of labels on each node; default: the result of cutting the sorted rows into equal
        shards. Shards are disjoint, and equal up to one row if the labels' numbers of rows allow it.

    Raises
    ------
    InputError
        For more nodes than rows, or for a missing or invalid parameter of the rule.
    """
    if nodes > n:
        s = "" if n == 1 else "s"
        most = f"use at most {n} node{s}"
        raise InputError(f"{nodes} nodes but {n} row{s}: an empty shard has nothing to compute; {most}")
    if rule in ("by-label", "dirichlet") and labels is None:
        raise InputError(f"data.partition: '{rule}' requires labels, which these data do not have")
    rng = stream(seed, Purpose.PARTITION)
    if rule == "contiguous":
        return _dealt(np.arange(n), equal_sizes(n, nodes))
    if rule == "shuffled":
        return _dealt(rng.permutation(n), equal_sizes(n, nodes))
    if rule == "unequal":
        return _dealt(rng.permutation(n), chosen_sizes(n, nodes, fractions))
    assert labels is not None
    if rule == "by-label" and labels_per_node is not None:
        return _in_file_order(_few_labels_owner(labels, nodes, labels_per_node, rng), nodes)
    if rule == "by-label":
        return _in_file_order(_dealt(np.argsort(labels, kind="stable"), equal_sizes(n, nodes)).owner, nodes)
    return _in_file_order(_dirichlet_owner(labels, nodes, alpha, rng), nodes)


def spread(n: int, nodes: int) -> Assignment:
    """Assign `n` rows, in the order of the file, to the nodes in equal numbers; with few rows some get none."""
    return _dealt(np.arange(n), equal_sizes(n, nodes))


def equal_sizes(n: int, nodes: int) -> NDArray[np.int64]:
    """Return (nodes,) sizes that differ by at most one, larger ones first."""
    return n // nodes + (np.arange(nodes) < n % nodes).astype(np.int64)


def chosen_sizes(n: int, nodes: int, fractions: Sequence[float] | None) -> NDArray[np.int64]:
    """Return (nodes,) sizes in the given proportions, by largest remainder, each at least 1.

    Raises
    ------
    InputError
        If the fractions are not one positive number per node.
    """
    if fractions is None or len(fractions) != nodes:
        given = "none" if fractions is None else str(len(fractions))
        raise InputError(f"data.fractions: one for each of the {nodes} nodes, got {given}")
    shares = np.asarray(fractions, dtype=np.float64)
    if not (np.isfinite(shares) & (shares > 0)).all():
        raise InputError(f"data.fractions: positive numbers only, got {list(fractions)}")
    return _at_least_one(_largest_remainder(n, shares / shares.sum()))


def _largest_remainder(n: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round `n * shares` to integers that sum to n; remaining rows go to the largest remainders."""
    exact = n * shares
    sizes = np.floor(exact).astype(np.int64)
    sizes[np.argsort(sizes - exact, kind="stable")[: n - sizes.sum()]] += 1
    return sizes


def _at_least_one(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move a row from the largest node to each empty one."""
    for node in np.flatnonzero(sizes == 0):
        sizes[np.argmax(sizes)] -= 1
        sizes[node] = 1
    return sizes


def _dealt(order: NDArray[np.int64], sizes: NDArray[np.int64]) -> Assignment:
    """Cut an ordering of the rows into consecutive pieces of the given sizes, one per node."""
    owner = np.empty(len(order), dtype=np.int32)
    place = np.empty(len(order), dtype=np.int64)
    owner[order] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Assignment(owner, place)


def _in_file_order(owner: NDArray[np.int32], nodes: int) -> Assignment:
    """Order each node's rows as in the file."""
    return _dealt(np.argsort(owner, kind="stable"), np.bincount(owner, minlength=nodes))


def _dirichlet_owner(
    labels: NDArray[np.float64], nodes: int, alpha: float | None, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Divide each class, in random order, in proportions drawn from Dirichlet(alpha, ..., alpha).

    A node without rows then gets one of the largest node's rows, the last of them in the file.
    """
    if alpha is None or not 0 < alpha < np.inf:
        raise InputError(f"data.alpha: 'dirichlet' needs a number above 0, got {alpha}")
    counts, members = _classes(labels, "data.partition: 'dirichlet'")
    owner = np.empty(len(labels), dtype=np.int32)
    for k in range(len(counts)):
        rows = rng.permutation(np.flatnonzero(members == k))
        sizes = _largest_remainder(len(rows), rng.dirichlet(np.full(nodes, alpha)))
        owner[rows] = np.repeat(np.arange(nodes, dtype=np.int32), sizes)
    sizes = np.bincount(owner, minlength=nodes)
    for node in np.flatnonzero(sizes == 0):
        largest = np.argmax(sizes)
        owner[np.flatnonzero(owner == largest)[-1]] = node
        sizes[largest] -= 1
        sizes[node] = 1
    return owner


def _few_labels_owner(
    labels: NDArray[np.float64], nodes: int, labels_per_node: int, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Divide each label's rows, in random order, over the nodes that hold it."""
    counts, members = _classes(labels, "data.labels_per_node")
    sizes = rows_of_labels(counts, equal_sizes(len(labels), nodes), labels_per_node, rng)
    owner = np.empty(len(labels), dtype=np.int32)
    for k in range(len(counts)):
        rows = rng.permutation(np.flatnonzero(members == k))
        owner[rows] = np.repeat(np.arange(nodes, dtype=np.int32), sizes[:, k])
    return owner


def _classes(labels: NDArray[np.float64], what: str) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Return the number of rows of each class, in the order of the labels, and the class of each row, (n,)."""
    _, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) > MANY_CLASSES:
        raise InputError(f"{what} divides classes; {len(counts)} different labels are too many")
    return counts, members
