"""The way from a request for data to shards on nodes, in one place and one order.

    read --> number columns --> choose classes --> split off a test set --> label --> scale --> partition --> send

Each step is collective over the processes of the cluster and either succeeds on all of them or fails on all with
the same message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.distribute import distribute
from hpcopt.data.features import Scaling, counts_from_zero, fit_scaling, settle, split, width_of
from hpcopt.data.labels import ChosenClasses, choose_classes, classes_of, refuse_unknown, relabelled
from hpcopt.data.partition import Assignment, assign, spread
from hpcopt.data.reading import read_file, read_table, read_training
from hpcopt.data.request import GENERATED, SOURCES, DataRequest
from hpcopt.data.table import Part, Table
from hpcopt.errors import AgreedError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.problems.targets import Targets

__all__ = ["GENERATED", "SOURCES", "DataRequest", "Loaded", "load", "read_table"]  # what the other rooms use


@dataclass(frozen=True)
class Loaded:
    """Data on their nodes.

    Parameters
    ----------
    shards
        Training rows of the nodes that this process carries; none on those that are no holders.
    test_shards
        Test rows, spread evenly (a node may have none); None without a test set.
    rows, test_rows
        Numbers of rows on all nodes together.
    features
        Number of features.
    classes
        The labels that stand behind -1 and +1, or behind 0, 1, ..., shape (classes,), for a loss of classes; else None.
    groups
        The labels of the data that `classes` = (-1, +1) stand for, where a loss of classes tells two groups apart.
    scaling
        What was done to the features; None for nothing.
    zero_based
        Whether the columns of the text files count from 0; None where no file is text.
    name
        What the data are called.
    """

    shards: dict[int, Table]
    test_shards: dict[int, Table] | None
    rows: int
    test_rows: int
    features: int
    classes: NDArray[np.float64] | None
    groups: ChosenClasses | None
    scaling: Scaling | None
    zero_based: bool | None
    name: str


@dataclass(frozen=True)
class _Rows:
    """Training and test rows on their way."""

    train: Part
    test: Part | None
    name: str  # of the training data, for messages
    test_name: str


def load(request: DataRequest, cluster: Cluster, targets: Targets = Targets.SIGNS) -> Loaded:
    """Read or generate, prepare and distribute the data of a run. Collective over `cluster.processes`.

    Parameters
    ----------
    targets
        What the loss wants the labels to become.

    Raises
    ------
    AgreedError
        On all processes, with one line: whatever is wrong with the request, a file, or the data.
    """
    group = cluster.processes
    train = read_training(request, group, len(cluster.holders))
    test = None
    if request.test is not None:
        test = read_file(Path(request.test), group, rows=request.rows, labels=request.test_labels)
    test_name = f"the test set of {request.name}" if request.test is None else Path(request.test).name
    zero_based = counts_from_zero(train, test)
    text = any(part is not None and part.numbering is not None for part in (train, test))
    rows = _settled(_Rows(train, test, request.name, test_name), zero_based, group)
    rows, classes = _labelled(_chosen(rows, request, group), targets, group)
    rows, scaling = _scaled(rows, request, group)
    assignment = _assignment(rows, request, cluster)
    return Loaded(
        shards=distribute(rows.train, assignment, cluster),
        test_shards=None
        if rows.test is None
        else distribute(rows.test, spread(rows.test.total, len(cluster.holders)), cluster),
        rows=rows.train.total,
        test_rows=0 if rows.test is None else rows.test.total,
        features=rows.train.table.d,
        classes=classes,
        groups=None if targets is Targets.REAL else request.classes,
        scaling=scaling,
        zero_based=zero_based if text else None,
        name=request.name,
    )


def _settled(rows: _Rows, zero_based: bool, group: Group) -> _Rows:
    """Give the columns of both sets the same numbers and see that the test set has no others."""
    d = width_of(rows.train, zero_based=zero_based)
    if d < 1:
        raise AgreedError(f"{rows.name}: no features in it")
    with agreed(group):
        train = settle(rows.train, zero_based=zero_based, d=d, where=rows.name, than=rows.name)
        test = rows.test and settle(rows.test, zero_based=zero_based, d=d, where=rows.test_name, than=rows.name)
    return replace(rows, train=train, test=test)


def _chosen(rows: _Rows, request: DataRequest, group: Group) -> _Rows:
    """Keep the rows of the chosen classes, then split off the test set."""
    if request.classes is not None:
        train = choose_classes(rows.train, request.classes, group, rows.name, all_present=True)
        test = rows.test and choose_classes(rows.test, request.classes, group, rows.test_name, all_present=False)
        rows = replace(rows, train=train, test=test)
    if request.test_fraction > 0:
        with agreed(group):
            train, test = split(rows.train, request.test_fraction, request.seed)
        rows = replace(rows, train=train, test=test)
    return rows


def _labelled(rows: _Rows, targets: Targets, group: Group) -> tuple[_Rows, NDArray[np.float64] | None]:
    """Turn labels into -1 and +1, or 0, 1, ..., where the loss wants that; also return the labels behind them."""
    if targets is Targets.REAL:
        return rows, None
    classes = classes_of(rows.train.table.targets, targets, group, rows.name)
    if rows.test is not None:
        refuse_unknown(rows.test, classes, group, rows.test_name, rows.name)
    train = relabelled(rows.train, classes, targets)
    test = rows.test and relabelled(rows.test, classes, targets)
    return replace(rows, train=train, test=test), classes


def _scaled(rows: _Rows, request: DataRequest, group: Group) -> tuple[_Rows, Scaling | None]:
    """Scale both sets by what the training set shows."""
    scaling = fit_scaling(request.scale, rows.train, group, rows.name)
    if scaling is None:
        return rows, None
    with agreed(group):
        train = replace(rows.train, table=scaling.apply(rows.train.table, rows.name))
        test = rows.test and replace(rows.test, table=scaling.apply(rows.test.table, rows.test_name))
    return replace(rows, train=train, test=test), scaling


def _assignment(rows: _Rows, request: DataRequest, cluster: Cluster) -> Assignment:
    """Partition the training rows among the holders; every process knows the whole answer."""
    group, part = cluster.processes, rows.train
    everyones: NDArray[np.float64] | None = None
    if request.rule in ("by-label", "dirichlet"):
        everyones = np.empty(part.total)
        for numbers, y in zip(group.allgather(part.rows), group.allgather(part.table.targets), strict=True):
            everyones[numbers] = y
    with agreed(group):
        return assign(
            request.rule,
            part.total,
            len(cluster.holders),
            request.seed,
            labels=everyones,
            alpha=request.alpha,
            fractions=request.fractions,
            labels_per_node=request.labels_per_node,
        )
