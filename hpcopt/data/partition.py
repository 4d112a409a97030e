"""Which node gets which row: pure functions of sizes, labels and a seed, so every process finds the same answer.

`request.DataRequest` lists the rules. Nodes are counted here among those that hold rows, `cluster.holders`; sizes of
"equal" runs differ by at most one, and no node is left without a row.
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
MANY_CLASSES = 1000  # more distinct labels than this are real targets, whose "classes" have a row each


@dataclass(frozen=True)
class Assignment:
    """Where each row goes.

    Parameters
    ----------
    owner
        The holder of each row, (n,) int32: its place in `cluster.holders`.
    place
        Each row's place in its holder's shard, (n,) int64: 0 .. rows of the node - 1.
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
    """Give each of `n` rows to one of `nodes` nodes, all of which hold some.

    Rows stand in a shard in the drawn order for "shuffled" and "unequal", else in the file's.

    Parameters
    ----------
    rule
        Which of the orders above.
    labels
        (n,), for "by-label" and "dirichlet".
    alpha
        For "dirichlet": concentration, above 0; the smaller, the fewer classes a node has.
    fractions
        For "unequal": one positive number a node; normalised.
    labels_per_node
        For "by-label": how many labels each node has rows of; default whatever equal runs come to. Shards are
        disjoint, and equal up to one row where the labels' numbers of rows allow it.

    Raises
    ------
    InputError
        For more nodes than rows, or a missing or wrong parameter of the rule.
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
    """Give `n` rows to the nodes in equal runs of the file's order; with fewer rows than nodes some get none."""
    return _dealt(np.arange(n), equal_sizes(n, nodes))


def equal_sizes(n: int, nodes: int) -> NDArray[np.int64]:
    """Return (nodes,) sizes that differ by at most one, the larger first."""
    return n // nodes + (np.arange(nodes) < n % nodes).astype(np.int64)


def chosen_sizes(n: int, nodes: int, fractions: Sequence[float] | None) -> NDArray[np.int64]:
    """Return (nodes,) sizes in the given proportions, by largest remainder, each at least 1.

    Raises
    ------
    InputError
        When the fractions are not one positive number for each node.
    """
    if fractions is None or len(fractions) != nodes:
        given = "none" if fractions is None else str(len(fractions))
        raise InputError(f"data.fractions: one for each of the {nodes} nodes, got {given}")
    shares = np.asarray(fractions, dtype=np.float64)
    if not (np.isfinite(shares) & (shares > 0)).all():
        raise InputError(f"data.fractions: positive numbers only, got {list(fractions)}")
    return _at_least_one(_largest_remainder(n, shares / shares.sum()))


def _largest_remainder(n: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round `n * shares` to integers that sum to n; the rows left over go to the largest remainders."""
    exact = n * shares
    sizes = np.floor(exact).astype(np.int64)
    sizes[np.argsort(sizes - exact, kind="stable")[: n - sizes.sum()]] += 1
    return sizes


def _at_least_one(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take a row from the largest node for each empty one."""
    for node in np.flatnonzero(sizes == 0):
        sizes[np.argmax(sizes)] -= 1
        sizes[node] = 1
    return sizes


def _dealt(order: NDArray[np.int64], sizes: NDArray[np.int64]) -> Assignment:
    """Cut an order of the rows into runs of the given sizes, one a node."""
    owner = np.empty(len(order), dtype=np.int32)
    place = np.empty(len(order), dtype=np.int64)
    owner[order] = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Assignment(owner, place)


def _in_file_order(owner: NDArray[np.int32], nodes: int) -> Assignment:
    """Place each node's rows in the file's order."""
    return _dealt(np.argsort(owner, kind="stable"), np.bincount(owner, minlength=nodes))


def _dirichlet_owner(
    labels: NDArray[np.float64], nodes: int, alpha: float | None, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Divide each class, in random order, in proportions drawn from Dirichlet(alpha, ..., alpha).

    A node left without rows is then given one of the largest node's: the last of them in the file.
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
    """Return the rows of each class, in the order of the labels, and the class of each row, (n,)."""
    _, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(counts) > MANY_CLASSES:
        raise InputError(f"{what} divides classes; {len(counts)} different labels are too many")
    return counts, members
