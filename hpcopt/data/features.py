"""Features of training and test data made to agree: their numbers, their scale, and the split into the two.

Everything is decided over all processes together. Scales come from the training rows only.
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
        Shape (d,); None for no shift, which is how sparse rows stay sparse.
    scale
        Shape (d,), positive; 1 for a feature that never varies (or, for "max-abs", is always 0). The same for all
        features where one number scales them.
    """

    shift: NDArray[np.float64] | None
    scale: NDArray[np.float64]

    def apply(self, table: Table, where: str) -> Table:
        """Return the table with its features scaled, in the same storage type.

        Parameters
        ----------
        where
            What the data are called in messages.

        Raises
        ------
        InputError
            When a scaled feature is too large for the storage type.
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
            raise InputError(_overflow(where, int(columns.min()), "once scaled, a value of it overflows"))
        return replace(table, X=scaled)


def settle(part: Part, *, zero_based: bool, d: int, where: str, than: str) -> Part:
    """Give the columns of a text file their final numbers 0 .. d - 1; check the width of any other data.

    Parameters
    ----------
    zero_based
        Whether the numbers written in text files count from 0.
    d
        Number of features there shall be: a text file may have fewer, other data may not.
    where, than
        What these data, and those that fixed `d`, are called in messages.

    Raises
    ------
    InputError
        When there are more features than `d`, or, in arrays, fewer.
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
    """Return the number of features the data show."""
    if part.numbering is None:
        return part.table.d
    return part.numbering.largest + (1 if zero_based else 0)


def counts_from_zero(*parts: Part | None) -> bool:
    """Tell whether any of the text files that belong together has a column 0."""
    return any(part is not None and part.numbering is not None and part.numbering.smallest == 0 for part in parts)


def either_way(part: Part, d: int, where: str) -> str:
    """Return a line where the columns of a text file fit `d` features counted from 0 or from 1; else an empty one."""
    if part.numbering is None or part.numbering.smallest == 0 or not 0 < part.numbering.largest < d:
        return ""
    return f"{where}: columns count from 1, as none is 0; counted from 0 they would fit the {d} features as well"


def split(part: Part, test_fraction: float, seed: int) -> tuple[Part, Part]:
    """Return training and test rows: round(test_fraction * total) randomly chosen row numbers are tested on.

    Raises
    ------
    InputError
        When one of the two would have no row.
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
    """Return the scaling of a kind, from the training rows of all processes; None for "none". Collective.

    "standard" takes each feature to mean 0 and variance 1 (the variance over all n rows), "max-abs" to a largest
    absolute value of 1; "global-max-abs" divides all features by one number, the largest absolute value of any (255
    for images of bytes), so that they keep their proportions. `where` is what the data are called in messages.

    Raises
    ------
    AgreedError
        For "standard" on sparse rows, or a feature so large or so small that its scaling overflows.
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
        raise AgreedError('data.scale: "standard" would fill sparse rows with non-zeros; take "max-abs", or "none"')
    X, n = part.table.X, part.total
    with np.errstate(over="ignore", invalid="ignore"):
        mean = group.sum(X.sum(axis=0, dtype=np.float64)) / n
        variance = group.sum(np.square(X - mean).sum(axis=0, dtype=np.float64)) / n
    _refuse(~np.isfinite(variance), where, "its values are so large that their variance overflows")
    # A constant column's variance is not 0 but what rounding leaves; the bound is scikit-learn's.
    eps = np.finfo(np.float64).eps
    with np.errstate(over="ignore"):  # a bound of infinity is right: beside such a mean any variance is rounding
        constant = variance <= n * eps * variance + np.square(n * mean * eps)
    return Scaling(mean, np.where(constant, 1.0, np.sqrt(variance)))


def _refuse(bad: NDArray[np.bool_], where: str, why: str) -> None:
    """Name the first bad feature; all processes have the same `bad`, (d,)."""
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
