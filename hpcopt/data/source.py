"""From a request for data to shards on nodes.

    read --> number columns --> choose classes --> split off a test set --> label --> scale --> partition --> send

Each step is collective over the processes of the cluster and either succeeds on all of them or fails on all with
the same message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcopt.capacity import ask_for_model
from hpcopt.data.checksum import checksum
from hpcopt.data.distribute import distribute
from hpcopt.data.features import Scaling, counts_from_zero, either_way, fit_scaling, settle, split, width_of
from hpcopt.data.labels import ChosenClasses, choose_classes, classes_of, refuse_unknown, relabelled
from hpcopt.data.partition import Assignment, assign, spread
from hpcopt.data.reading import read_table, read_test, read_training
from hpcopt.data.request import DataRequest
from hpcopt.data.rows import Rows, from_arrays
from hpcopt.data.table import Part, Table
from hpcopt.errors import AgreedError
from hpcopt.fabric.agreement import agreed
from hpcopt.fabric.interface import Cluster, Group
from hpcopt.problems.targets import Targets

__all__ = ["DataRequest", "Loaded", "Rows", "from_arrays", "load", "read_table"]  # used by other packages


@dataclass(frozen=True)
class Loaded:
    """Data distributed over the nodes.

    Parameters
    ----------
    shards
        Training rows of this process's nodes; nodes that are not holders have none.
    test_shards
        Test rows, spread evenly (a node may have none); None without a test set.
    rows, test_rows
        Numbers of rows on all nodes together.
    features
        Number of features.
    classes
        The labels that became -1 and +1, or 0, 1, ..., shape (classes,), for a loss of classes; else None.
    groups
        The labels that became -1 and +1, if a loss of classes distinguishes two groups of labels.
    scaling
        The scaling applied to the features; None without scaling.
    zero_based
        Whether the columns of the text files count from 0; None without text files.
    hash_bits
        The features are hashed into 2**hash_bits columns; None if they are not.
    checksum
        The checksum of the training rows with their targets, before scaling; the same wherever they came from.
    name
        Name of the data.
    remarks
        Lines for the user about ambiguous input.
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
    hash_bits: int | None
    checksum: str
    name: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Sets:
    """The training set and the test set during preparation."""

    train: Part
    test: Part | None
    name: str  # name of the training data, for messages
    test_name: str


def load(request: DataRequest, cluster: Cluster, targets: Targets = Targets.SIGNS, rows: Rows | None = None) -> Loaded:
    """Read or generate, prepare and distribute the data of a run. Collective over `cluster.processes`.

    Parameters
    ----------
    targets
        The targets that the loss requires.
    rows
        The rows, if the source is "arrays".

    Raises
    ------
    AgreedError
        On all processes, in one line: for any error in the request, a file, or the data.
    """
    group = cluster.processes
    if request.hash_bits is not None:
        with agreed(group):
            features = 2**request.hash_bits
            ask_for_model(features, f"data.hash_bits = {request.hash_bits}: {features} features")
    train = read_training(request, group, len(cluster.holders), rows)
    test, test_name = read_test(request, group, rows) or (None, f"the test set of {request.name}")
    text = any(part is not None and part.numbering is not None for part in (train, test))
    zero_based = _base(train, test, request, text=text)
    remark = either_way(test, train.table.d, test_name) if test and train.numbering is None else ""
    sets = _settled(_Sets(train, test, request.name, test_name), zero_based, group)
    sets, classes = _labelled(_chosen(sets, request, group), targets, group)
    of_rows = checksum(sets.train.table, cluster)
    sets, scaling = _scaled(sets, request, group)
    assignment = _assignment(sets, request, cluster)
    return Loaded(
        shards=distribute(sets.train, assignment, cluster),
        test_shards=None
        if sets.test is None
        else distribute(sets.test, spread(sets.test.total, len(cluster.holders)), cluster),
        rows=sets.train.total,
        test_rows=0 if sets.test is None else sets.test.total,
        features=sets.train.table.d,
        classes=classes,
        groups=None if targets is Targets.REAL else request.classes,
        scaling=scaling,
        zero_based=zero_based if text else None,
        hash_bits=request.hash_bits,
        checksum=of_rows,
        name=request.name,
        remarks=(f"{remark} (data.zero_based = true if they do)",) if remark and request.zero_based is None else (),
    )


def _base(train: Part, test: Part | None, request: DataRequest, *, text: bool) -> bool:
    """Return whether columns of text files count from 0: as given, otherwise if any of them has a column 0."""
    seen = counts_from_zero(train, test)
    if request.zero_based is not None and not text:
        raise AgreedError(
            f"data.zero_based: {request.name} is not a text file; only the columns of text files can count from 1"
        )
    if request.zero_based is False and seen:
        name = request.name if counts_from_zero(train) else request.test
        raise AgreedError(f"data.zero_based: given as false, but {name} has a column 0")
    return seen if request.zero_based is None else request.zero_based


def _settled(sets: _Sets, zero_based: bool, group: Group) -> _Sets:
    """Renumber the columns of both sets consistently, and check that the test set has no others."""
    d = width_of(sets.train, zero_based=zero_based)
    if d < 1:
        raise AgreedError(f"{sets.name}: no features in it")
    with agreed(group):
        ask_for_model(d, f"{sets.name}: {d} features")
        train = settle(sets.train, zero_based=zero_based, d=d, where=sets.name, than=sets.name)
        test = sets.test and settle(sets.test, zero_based=zero_based, d=d, where=sets.test_name, than=sets.name)
    return replace(sets, train=train, test=test)


def _chosen(sets: _Sets, request: DataRequest, group: Group) -> _Sets:
    """Keep the rows of the chosen classes, then split off the test set."""
    if request.classes is not None:
        train = choose_classes(sets.train, request.classes, group, sets.name, all_present=True)
        test = sets.test and choose_classes(sets.test, request.classes, group, sets.test_name, all_present=False)
        sets = replace(sets, train=train, test=test)
    if request.test_fraction > 0:
        with agreed(group):
            train, test = split(sets.train, request.test_fraction, request.seed)
        sets = replace(sets, train=train, test=test)
    return sets


def _labelled(sets: _Sets, targets: Targets, group: Group) -> tuple[_Sets, NDArray[np.float64] | None]:
    """Convert labels to -1 and +1, or 0, 1, ..., if the loss requires it; also return the original labels."""
    if targets is Targets.REAL:
        return sets, None
    classes = classes_of(sets.train.table.targets, targets, group, sets.name)
    if sets.test is not None:
        refuse_unknown(sets.test, classes, group, sets.test_name, sets.name)
    train = relabelled(sets.train, classes, targets)
    test = sets.test and relabelled(sets.test, classes, targets)
    return replace(sets, train=train, test=test), classes


def _scaled(sets: _Sets, request: DataRequest, group: Group) -> tuple[_Sets, Scaling | None]:
    """Scale both sets with the scaling from the training set."""
    scaling = fit_scaling(request.scale, sets.train, group, sets.name)
    if scaling is None:
        return sets, None
    with agreed(group):
        train = replace(sets.train, table=scaling.apply(sets.train.table, sets.name))
        test = sets.test and replace(sets.test, table=scaling.apply(sets.test.table, sets.test_name))
    return replace(sets, train=train, test=test), scaling


def _assignment(sets: _Sets, request: DataRequest, cluster: Cluster) -> Assignment:
    """Partition the training rows among the holders; every process computes the whole assignment."""
    group, part = cluster.processes, sets.train
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
