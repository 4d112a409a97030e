"""A trained linear model: what a run leaves behind and `hpcopt predict` reads.

The file speaks of the features as the user has them: scaling done for the solver is folded into the
coefficients, so that nobody who reads `coef` has to know of it. It holds arrays only and never a pickle.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hpcopt.data.labels import ChosenClasses
from hpcopt.data.table import Features
from hpcopt.errors import InputError
from hpcopt.problems.losses import LOSSES

Vector = NDArray[np.float64]

FORMAT = 1
"""Version of the file's layout; raised when an older hpcopt could misread it."""

TWO_CLASSES = 2


@dataclass(frozen=True)
class Model:
    """Prediction of x is coef.x + intercept (with "relu" at least 0), or the class on that side of zero.

    Parameters
    ----------
    coef
        Coefficients of the original features, shape (d,).
    intercept
        Added to every prediction.
    loss
        Name of the loss it was trained with.
    classes
        The labels behind -1 and +1, shape (2,), for a loss of two classes; else None.
    meta
        What else is worth knowing (solver, objective, ...): anything JSON can hold. Of a model that tells two
        groups of labels apart it has their lists "positive" and "negative"; `classes` are then (-1, +1).

    Raises
    ------
    InputError
        A shape, loss or value that makes no model.
    """

    coef: Vector
    intercept: float
    loss: str
    classes: Vector | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        two_classes = LOSSES[self.loss].two_classes
        if self.coef.ndim != 1 or self.coef.dtype != np.float64:
            raise InputError(f"coef: expected float64 of shape (d,), got {self.coef.dtype} of shape {self.coef.shape}")
        if not (np.isfinite(self.coef).all() and np.isfinite(self.intercept)):
            raise InputError("coef, intercept: expected finite numbers, got NaN or infinity")
        count = 0 if self.classes is None else self.classes.size
        if count != (TWO_CLASSES if two_classes else 0):
            wanted = "2 classes" if two_classes else "no classes"
            raise InputError(f"classes: loss '{self.loss}' has {wanted}, got {count}")

    @property
    def features(self) -> int:
        """Number of features, d."""
        return len(self.coef)

    @property
    def groups(self) -> ChosenClasses | None:
        """The labels of the training data that -1 and +1 stand for, where it was trained to tell two groups apart."""
        if not {"positive", "negative"} <= self.meta.keys():
            return None
        return ChosenClasses(tuple(self.meta["positive"]), tuple(self.meta["negative"]))

    def decision(self, X: Features) -> Vector:
        """Return coef.x + intercept for each row of `X`, shape (n,).

        Parameters
        ----------
        X
            Rows, shape (n, d), dense or CSR. Sparse rows may have fewer columns (text files end with the last
            feature they use); the missing ones are zero.

        Raises
        ------
        InputError
            Another number of features.
        """
        if X.ndim != 2:
            raise InputError(f"expected rows of shape (n, {self.features}), got shape {X.shape}")
        columns = X.shape[1]
        if columns > self.features or (columns < self.features and not issparse(X)):
            raise InputError(f"the rows have {columns} features, the model has {self.features}")
        decision: Vector = np.asarray(X @ self.coef[:columns], dtype=np.float64)
        decision += self.intercept
        return decision

    def predict(self, X: Features) -> Vector:
        """Return the predicted label (two classes) or value of each row of `X`, shape (n,); see `decision`."""
        decision = self.decision(X)
        if self.classes is None:
            return LOSSES[self.loss].prediction(decision)
        return self.classes[(decision > 0.0).astype(np.intp)]

    def save(self, path: str | Path) -> None:
        """Write the model to `path`; a reader finds the old file or the new one, never a half."""
        path = Path(path)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with unfinished.open("wb") as file:
                np.savez(
                    file,
                    format=np.array(FORMAT),
                    coef=self.coef,
                    intercept=np.array(self.intercept),
                    classes=np.zeros(0) if self.classes is None else self.classes,
                    loss=np.array(self.loss),
                    meta=np.array(json.dumps(self.meta)),
                )
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def load(path: str | Path) -> Model:
    """Return the model in the file `path`.

    Raises
    ------
    InputError
        No such file, no model, a damaged one, or one of a newer hpcopt.
    """
    arrays = _arrays(path)
    missing = {"coef", "intercept", "classes", "loss", "meta", "format"} - arrays.keys()
    if missing:
        raise InputError(f"{path}: no model: it lacks {', '.join(sorted(missing))}")
    if not np.array_equal(arrays["format"], FORMAT):
        raise InputError(f"{path}: a model in format {arrays['format']}; this hpcopt reads format {FORMAT}")
    try:
        return Model(
            coef=arrays["coef"].astype(np.float64),
            intercept=float(arrays["intercept"]),
            loss=str(arrays["loss"]),
            classes=arrays["classes"].astype(np.float64) if arrays["classes"].size else None,
            meta=json.loads(str(arrays["meta"])),
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: no model: {error}") from None


def unscaled(w: Vector, intercept: float, shift: Vector | None, scale: Vector | None) -> tuple[Vector, float]:
    """Return coefficients (d,) and intercept for the original features x.

    Parameters
    ----------
    w, intercept
        Of the features (x - shift) / scale, which the solver saw.
    shift, scale
        Shape (d,); None stands for zeros and for ones.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a model refuses what is not finite, in one line
        coef = w.copy() if scale is None else w / scale
        return coef, intercept if shift is None else intercept - float(coef @ shift)


def _arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return all arrays of an .npz file."""
    try:
        with Path(path).open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise InputError(f"{path}: no model: expected the .npz file that 'hpcopt fit' or 'hpcopt run' writes")
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                return dict(content.items())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a model.npz in it, perhaps") from None
    except InputError:
        raise
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: no model: damaged, or not of arrays alone ({error})") from None
