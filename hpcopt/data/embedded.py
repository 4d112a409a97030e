"""Real data from scikit-learn, available without a network or a file."""

from __future__ import annotations

import numpy as np

from hpcopt.data.table import Part, Table, contiguous
from hpcopt.fabric.interface import Group


def breast_cancer(group: Group) -> Part:
    """Return this process's rows of the Wisconsin diagnoses: 569 x 30, labels 0 (malignant) and 1 (benign)."""
    from sklearn.datasets import load_breast_cancer

    return _part(group, *load_breast_cancer(return_X_y=True))


def digits(group: Group) -> Part:
    """Return this process's rows of the 8 x 8 handwritten digits: 1797 x 64, values 0 to 16, labels 0 to 9."""
    from sklearn.datasets import load_digits

    return _part(group, *load_digits(return_X_y=True))


def _part(group: Group, X: np.ndarray, y: np.ndarray) -> Part:
    start, stop = contiguous(len(X), group.rank, group.size)
    own = Table(np.array(X[start:stop], dtype=np.float64, order="C"), y[start:stop].astype(np.float64))
    return Part(own, np.arange(start, stop), len(X))
