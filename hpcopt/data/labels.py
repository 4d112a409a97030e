"""Labels for a loss of classes, -1 and +1 or 0, 1, ..., from their values or from two groups of values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcopt.annotations import check_types
from hpcopt.data.faults import Fault, raise_first
from hpcopt.data.partition import MANY_CLASSES
from hpcopt.data.table import Part, RowNumbers
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.interface import Group
from hpcopt.problems.targets import Targets

SHOWN_LABELS = 5


@dataclass(frozen=True)
class ChosenClasses:
    """Two groups of classes to distinguish; rows of other classes are left out.

    Parameters
    ----------
    positive, negative
        The labels that become +1 and -1; both nonempty and disjoint.

    Raises
    ------
    InputError
        If one is empty or they overlap.
    """

    positive: tuple[float, ...]
    negative: tuple[float, ...]

    def __post_init__(self) -> None:
        check_types(self)
        for side in ("positive", "negative"):
            if not getattr(self, side):
                raise InputError(f"data.classes.{side}: at least one class, got none")
        both = set(self.positive) & set(self.negative)
        if both:
            raise InputError(f"data.classes: {shown(both)} cannot be positive and negative at once")


def classes_of(y: NDArray[np.float64], targets: Targets, group: Group, where: str) -> NDArray[np.float64]:
    """Return the distinct labels of all processes, ascending, shape (classes,). Collective.

    Parameters
    ----------
    y
        This process's labels, (n,).
    targets
        The kind of targets: exactly two values for `SIGNS`, two or more for `CLASSES`.
    where
        Name of the data in messages.

    Raises
    ------
    AgreedError
        If the labels of all processes together have fewer or more values.
    """
    # A process sends only its smallest ones: more than the maximum on one process are too many in all.
    most = 2 if targets is Targets.SIGNS else MANY_CLASSES
    seen = np.unique(np.concatenate(group.allgather(np.unique(y)[: max(most, SHOWN_LABELS) + 1])))
    if len(seen) < 2:
        raise AgreedError(f"{where}: every label is {shown(seen)}; a loss of classes needs at least two values")
    if len(seen) <= most:
        return seen
    if targets is Targets.CLASSES:
        raise AgreedError(
            f"{where}: labels take more than {MANY_CLASSES} values ({shown(seen)}): they are not classes; use a loss "
            'for real targets: problem.loss = "squared"'
        )
    raise AgreedError(
        f"{where}: labels take more than two values ({shown(seen)}); name two groups of them with data.classes = "
        "{positive = [...], negative = [...]}, or take a loss for many classes or for real targets: problem.loss = "
        '"softmax" or "squared"'
    )


def relabelled(part: Part, classes: NDArray[np.float64], targets: Targets) -> Part:
    """Convert the labels of the rows, all among the ascending `classes`, to targets of the given kind."""
    places = np.searchsorted(classes, part.table.targets).astype(np.float64)
    y = 2.0 * places - 1.0 if targets is Targets.SIGNS else places
    return replace(part, table=replace(part.table, y=y))


def refuse_unknown(part: Part, classes: NDArray[np.float64], group: Group, where: str, training: str) -> None:
    """Raise an error for test rows with a label that the training set doesn't have. Collective.

    Raises
    ------
    AgreedError
        On all processes, for the first such row.
    """
    raise_first(group, unknown_label(part.table.targets, part.rows, classes, where, training))


def unknown_label(
    y: NDArray[np.float64], rows: RowNumbers, classes: NDArray[np.float64], where: str, training: str
) -> Fault | None:
    """Return a fault for the first of the labels `y` (row numbers `rows`, (n,)) not among the classes, if any."""
    odd = np.flatnonzero(~np.isin(y, classes))
    if not odd.size:
        return None
    row = int(rows[odd[0]])
    return Fault(
        row, f"{where}: row {row} (counted from 0) has the label {y[odd[0]]:g}; {training} has {shown(classes)}"
    )


def choose_classes(part: Part, chosen: ChosenClasses, group: Group, where: str, *, all_present: bool) -> Part:
    """Keep the rows of the chosen classes and relabel them +1 and -1. Collective.

    Parameters
    ----------
    all_present
        Whether a chosen class without rows is an error (a test set may lack some).

    Raises
    ------
    AgreedError
        For a class that doesn't occur, or if no rows are left.
    """
    y = part.table.targets
    wanted = np.array([*chosen.positive, *chosen.negative], dtype=np.float64)
    present = group.max(np.isin(wanted, y).astype(np.float64)) > 0
    if not present.any() or (all_present and not present.all()):
        raise AgreedError(f"{where}: data.classes names {shown(wanted[~present])}, but no row has that label")
    kept = np.zeros(part.total, dtype=np.bool_)
    signs = chosen_signs(y, chosen)
    for rows in group.allgather(part.rows[signs != 0]):
        kept[rows] = True
    return replace(part, table=replace(part.table, y=signs)).keep(kept)


def chosen_signs(y: NDArray[np.float64], chosen: ChosenClasses) -> NDArray[np.float64]:
    """Return +1 and -1 for labels of the two groups, and 0 for all others."""
    return np.isin(y, chosen.positive).astype(np.float64) - np.isin(y, chosen.negative)


def shown(labels: Iterable[float]) -> str:
    """Return the first few labels as text."""
    ordered = sorted(labels)
    return ", ".join(f"{label:g}" for label in ordered[:SHOWN_LABELS]) + (", ..." * (len(ordered) > SHOWN_LABELS))
