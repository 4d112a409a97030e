"""Consistent features of training and test data: column numbers, scaling, and the split into the two sets.

All decisions are collective over the processes. Scales come from the training rows only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hpcopt.data.streams import Purpose, stream
from hpcopt.data.table import Part, Table
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.interface import Group

Scale = Literal["none", "standard", "max-abs", "global-max-abs"]

_SMALLEST_SCALE = float(np.finfo(np.float64).tiny)  # the reciprocal of a smaller number can overflow


@dataclass(frozen=True)
class Scaling:
    """The map of a row x to (x - shift) / scale.

    Parameters
    ----------
    shift
        Shape (d,); None for no shift, so that sparse rows stay sparse.
    scale
        Shape (d,), positive; 1 for a constant feature (for "max-abs": one that is always 0). Equal for all features
        with "global-max-abs".
    """

    shift: NDArray[np.float64] | None
    scale: NDArray[np.float64]

    def apply(self, table: Table, where: str) -> Table:
        """Return the table with its features scaled, in the same storage type.

        Parameters
        ----------
        where
            Name of the data in messages.

        Raises
        ------
        InputError
            If a scaled feature is too large for the storage type.
        """
        X = table.X
        with np.errstate(over="ignore"):
            if table.sparse:
                data = (X.data / self.scale[X.indices]).astype(X.dtype, copy=False)
                scaled, columns = csr_array((data, X.indices, X.indptr), shape=X.shape), X.indices[~np.isfinite(data)]
            else:
                shifted = X / self.scale if self.shift is None else (X - self.shift) / self.scale
                scaled = shifted.astype(X.dtype, copy=False)
                columns = np.flatnonzero(~np.isfinite(scaled).all(axis=0))
        if columns.size:
            raise InputError(_overflow(where, int(columns.min()), "a value overflows when scaled"))
        return replace(table, X=scaled)


def settle(part: Part, *, zero_based: bool, d: int, where: str, than: str) -> Part:
    """Renumber the columns of a text file to 0 .. d - 1; check the width of any other data.

    Parameters
    ----------
    zero_based
        Whether the column numbers in text files count from 0.
    d
        Expected number of features: a text file may have fewer, other data may not.
    where, than
        Names, in messages, of these data and of those that determined `d`.

    Raises
    ------
    InputError
        If there are more features than `d` or, in arrays, fewer.
    """
    width = width_of(part, zero_based=zero_based)
    if width > d or (part.numbering is None and width < d):
        raise InputError(f"{where} has {width} features, {than} {d}")
    if part.numbering is None:
        return part
    X = part.table.X
    settled = csr_array((X.data, X.indices if zero_based else X.indices - 1, X.indptr), shape=(part.table.n, d))
    return replace(part, table=replace(part.table, X=settled), numbering=None)


def width_of(part: Part, *, zero_based: bool) -> int:
    """Return the number of features in the data."""
    if part.numbering is None:
        return part.table.d
    return part.numbering.largest + (1 if zero_based else 0)


def counts_from_zero(*parts: Part | None) -> bool:
    """Return whether any of the text files of a data set has a column 0."""
    return any(part is not None and part.numbering is not None and part.numbering.smallest == 0 for part in parts)


def either_way(part: Part, d: int, where: str) -> str:
    """Return a remark if the columns of a text file fit `d` features counted both from 0 and from 1, else ""."""
    if part.numbering is None or part.numbering.smallest == 0 or not 0 < part.numbering.largest < d:
        return ""
    return f"{where}: columns count from 1, as none is 0; counted from 0 they would fit the {d} features as well"


def split(part: Part, test_fraction: float, seed: int) -> tuple[Part, Part]:
    """Split off round(test_fraction * total) randomly chosen rows as the test set; return training and test rows.

    Raises
    ------
    InputError
        If one of the two would have no rows.
    """
    tested = round(test_fraction * part.total)
    if not 0 < tested < part.total:
        raise InputError(
            f"data.test_fraction: {test_fraction} of {part.total} rows leaves {tested} to test and "
            f"{part.total - tested} to train; both need at least one"
        )
    test = np.zeros(part.total, dtype=np.bool_)
    test[stream(seed, Purpose.TEST_SPLIT).permutation(part.total)[:tested]] = True
    return part.keep(~test), part.keep(test)


def fit_scaling(kind: Scale, part: Part, group: Group, where: str) -> Scaling | None:
    """Return the scaling of the given kind, from the training rows of all processes; None for "none". Collective.

    "standard" scales each feature to mean 0 and variance 1 (divisor n), "max-abs" to a largest absolute value of 1;
    "global-max-abs" divides all features by one number, the largest absolute value of all (255 for images of bytes), so
    that they keep their proportions. `where` is the name of the data in messages.

    Raises
    ------
    AgreedError
        For "standard" on sparse rows, or for a feature so large or so small that its scaling overflows.
    """
    if kind == "none":
        return None
    if kind in ("max-abs", "global-max-abs"):
        largest = group.max(_largest_absolute(part.table))
        if kind == "global-max-abs":
            largest = np.full_like(largest, largest.max())
        tiny = (largest > 0) & (largest < _SMALLEST_SCALE)
        _refuse(tiny, where, "its largest absolute value is so small that the scaling overflows")
        return Scaling(None, np.where(largest > 0, largest, 1.0))
    if part.table.sparse:
        raise AgreedError('data.scale: "standard" would make sparse rows dense; use "max-abs" or "none"')
    X, n = part.table.X, part.total
    with np.errstate(over="ignore", invalid="ignore"):
        mean = group.sum(X.sum(axis=0, dtype=np.float64)) / n
        variance = group.sum(np.square(X - mean).sum(axis=0, dtype=np.float64)) / n
    _refuse(~np.isfinite(variance), where, "its values are so large that their variance overflows")
    # The computed variance of a constant column is roundoff instead of 0; the bound is scikit-learn's.
    eps = np.finfo(np.float64).eps
    with np.errstate(over="ignore"):  # an infinite bound is correct: with such a mean, any variance is roundoff
        constant = variance <= n * eps * variance + np.square(n * mean * eps)
    return Scaling(mean, np.where(constant, 1.0, np.sqrt(variance)))


def _refuse(bad: NDArray[np.bool_], where: str, why: str) -> None:
    """Raise an error for the first bad feature; all processes have the same `bad`, (d,)."""
    if bad.any():
        raise AgreedError(_overflow(where, int(bad.argmax()), why))


def _overflow(where: str, column: int, why: str) -> str:
    return f'{where}: column {column} (counted from 0): {why}; give the feature another unit, or data.scale = "none"'


def _largest_absolute(table: Table) -> NDArray[np.float64]:
    """Return each feature's largest absolute value, (d,)."""
    if table.n == 0:
        return np.zeros(table.d)
    high, low = table.X.max(axis=0), table.X.min(axis=0)
    if table.sparse:
        high, low = high.toarray().ravel(), low.toarray().ravel()
    largest: NDArray[np.float64] = np.maximum(high, -low).astype(np.float64)
    return largest
