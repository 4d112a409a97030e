"""Features of training and test data made to agree: their numbers, their scale, and the split into the two.

Everything is decided over all processes together. Scales come from the training rows only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hpcopt.data.streams import Purpose, stream
from hpcopt.data.table import Part, Table
from hpcopt.errors import AgreedError, InputError
from hpcopt.fabric.interface import Group
from hpcopt.registry import nearest

SCALES = ("none", "standard", "max-abs")


@dataclass(frozen=True)
class Scaling:
    """The map of a row x to (x - shift) / scale.

    Parameters
    ----------
    shift
        Shape (d,); None for no shift, which is how sparse rows stay sparse.
    scale
        Shape (d,), positive; 1 for a feature that never varies (or, for "max-abs", is always 0).
    """

    shift: NDArray[np.float64] | None
    scale: NDArray[np.float64]

    def apply(self, table: Table) -> Table:
        """Return the table with its features scaled, in the same storage type."""
        X = table.X
        if table.sparse:
            data = (X.data / self.scale[X.indices]).astype(X.dtype, copy=False)
            return replace(table, X=csr_array((data, X.indices, X.indptr), shape=X.shape))
        scaled = X / self.scale if self.shift is None else (X - self.shift) / self.scale
        return replace(table, X=scaled.astype(X.dtype, copy=False))


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


def fit_scaling(kind: str, part: Part, group: Group) -> Scaling | None:
    """Return the scaling of a kind in `SCALES`, from the training rows of all processes; None for "none". Collective.

    "standard" takes each feature to mean 0 and variance 1 (the variance over all n rows), "max-abs" to a largest
    absolute value of 1.

    Raises
    ------
    AgreedError
        For an unknown kind, or "standard" on sparse rows.
    """
    if kind not in SCALES:
        raise AgreedError(f"data.scale: unknown kind '{kind}'{nearest(kind, SCALES)} (known: {', '.join(SCALES)})")
    if kind == "none":
        return None
    if kind == "max-abs":
        largest = group.max(_largest_absolute(part.table))
        return Scaling(None, np.where(largest > 0, largest, 1.0))
    if part.table.sparse:
        raise AgreedError('data.scale: "standard" would fill sparse rows with non-zeros; take "max-abs", or "none"')
    X, n = part.table.X, part.total
    mean = group.sum(X.sum(axis=0, dtype=np.float64)) / n
    variance = group.sum(np.square(X - mean).sum(axis=0, dtype=np.float64)) / n
    # A constant column's variance is not 0 but what rounding leaves; the bound is scikit-learn's.
    eps = np.finfo(np.float64).eps
    constant = variance <= n * eps * variance + np.square(n * mean * eps)
    return Scaling(mean, np.where(constant, 1.0, np.sqrt(variance)))


def _largest_absolute(table: Table) -> NDArray[np.float64]:
    """Return each feature's largest absolute value, (d,)."""
    if table.n == 0:
        return np.zeros(table.d)
    high, low = table.X.max(axis=0), table.X.min(axis=0)
    if table.sparse:
        high, low = high.toarray().ravel(), low.toarray().ravel()
    largest: NDArray[np.float64] = np.maximum(high, -low).astype(np.float64)
    return largest
