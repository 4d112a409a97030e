"""Other libraries' linear models, trained by one pass over sparse rows: the peers of the benchmark.

A learner is a call that trains a new model and returns the function from rows to margins.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hpcopt.arrays import Vector

Margins = Callable[[Any], Vector]
Learner = Callable[[], Margins]

VOWPAL = "Vowpal Wabbit --adaptive"


def scikit_learn(X: Any, y: Vector, l1: float) -> Learner:
    """Return scikit-learn's SGD; its step size was the best of several on the texts of the benchmark."""
    from sklearn.linear_model import SGDClassifier

    parameters = {"learning_rate": "invscaling", "eta0": 3.0, "power_t": 0.25, "max_iter": 1, "tol": None}
    made = partial(SGDClassifier, loss="log_loss", penalty="l1", alpha=l1, fit_intercept=False, random_state=0)

    def learn() -> Margins:
        margins: Margins = made(**parameters).fit(X, y).decision_function
        return margins

    return learn


@contextmanager
def vowpal_wabbit(X: Any, y: Vector, bits: int, l1: float) -> Iterator[tuple[str, Learner | None]]:
    """Yield a name and Vowpal Wabbit, with its default step size; or what to install, and None."""
    try:
        package: Any = importlib.import_module("vowpalwabbit")
    except ImportError:
        yield f"{VOWPAL}: not installed (pip install 'hpcopt[bench]')", None
        return
    with tempfile.TemporaryDirectory(prefix="hpcopt-") as made:
        folder = Path(made)
        _write(folder / "train", X, y)
        options = f"--adaptive --loss_function logistic --l1 {l1} -b {bits} --noconstant --quiet"

        def margins(rows: Any) -> Vector:
            _write(folder / "test", rows, np.ones(rows.shape[0]))
            package.Workspace(f"-d {folder}/test -t -i {folder}/model -p {folder}/margins --quiet").finish()
            return np.loadtxt(folder / "margins")

        def learn() -> Margins:
            package.Workspace(f"-d {folder}/train --cache_file {folder}/cache -f {folder}/model {options}").finish()
            return margins

        yield VOWPAL, learn


def _write(path: Path, X: Any, y: Vector) -> None:
    """Write rows as Vowpal Wabbit's text."""
    with path.open("w", encoding="ascii") as file:
        for target, start, stop in zip(y, X.indptr, X.indptr[1:], strict=False):
            entries = zip(X.indices[start:stop].tolist(), X.data[start:stop].tolist(), strict=True)
            file.write(f"{target:.0f} | {' '.join(f'{j}:{value:.6g}' for j, value in entries)}\n")
