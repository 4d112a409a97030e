"""Labels as a two-class loss wants them: -1 and +1, from two values or from two groups of classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcopt.data.faults import Fault, raise_first
from hpcopt.data.table import Part, RowNumbers
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.interface import Group

SHOWN_LABELS = 5


@dataclass(frozen=True)
class ChosenClasses:
    """Two groups of classes to tell apart; rows of other classes are left out.

    Parameters
    ----------
    positive, negative
        The labels that become +1 and -1; neither may be empty, and they share none.

    Raises
    ------
    InputError
        When they do.
    """

    positive: tuple[float, ...]
    negative: tuple[float, ...]

    def __post_init__(self) -> None:
        for side in ("positive", "negative"):
            if not getattr(self, side):
                raise InputError(f"data.classes.{side}: at least one class, got none")
        both = set(self.positive) & set(self.negative)
        if both:
            raise InputError(f"data.classes: {shown(both)} cannot be positive and negative at once")


def two_classes(y: NDArray[np.float64], group: Group, where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two labels of all processes, increasing (2,), and `y` as -1 (the first) and +1. Collective.

    Parameters
    ----------
    y
        This process's labels, (n,).
    where
        What the data are called in messages.

    Raises
    ------
    AgreedError
        When the labels of all processes together are not exactly two values.
    """
    # So many of each process's smallest are enough: more than two anywhere are too many everywhere.
    seen = np.unique(np.concatenate(group.allgather(np.unique(y)[: SHOWN_LABELS + 1])))
    if len(seen) == 2:
        return seen, as_signs(y, seen)
    if len(seen) < 2:
        raise AgreedError(f"{where}: every label is {shown(seen)}; a two-class loss needs two values")
    raise AgreedError(
        f"{where}: labels take more than two values ({shown(seen)}); name two groups of them with data.classes = "
        '{positive = [...], negative = [...]}, or take a loss for real targets: problem.loss = "squared"'
    )


def as_signs(y: NDArray[np.float64], classes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -1 where `y` is the first of two classes and +1 where it is the second."""
    return np.where(y == classes[1], 1.0, -1.0)


def known_signs(part: Part, classes: NDArray[np.float64], group: Group, where: str, training: str) -> Part:
    """Relabel test rows with the training set's two classes. Collective.

    Raises
    ------
    AgreedError
        For a label that the training set doesn't have.
    """
    y = part.table.targets
    raise_first(group, unknown_label(y, part.rows, classes, where, training))
    return replace(part, table=replace(part.table, y=as_signs(y, classes)))


def unknown_label(
    y: NDArray[np.float64], rows: RowNumbers, classes: NDArray[np.float64], where: str, training: str
) -> Fault | None:
    """Return the first of the labels `y` of the numbered `rows` (n,) that is not among the classes, if any."""
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
        Whether a chosen class that no row has is refused (a test set may lack some).

    Raises
    ------
    AgreedError
        For a class that doesn't occur, or when no row is left.
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
    """Return +1 and -1 for the labels of the two groups, and 0 for those of neither."""
    return np.isin(y, chosen.positive).astype(np.float64) - np.isin(y, chosen.negative)


def shown(labels: Iterable[float]) -> str:
    """Return the first few labels as text."""
    ordered = sorted(labels)
    return ", ".join(f"{label:g}" for label in ordered[:SHOWN_LABELS]) + (", ..." * (len(ordered) > SHOWN_LABELS))
