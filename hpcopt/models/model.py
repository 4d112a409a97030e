"""A trained model: what a run leaves behind and `hpcopt predict` reads.

The file speaks of the features as the user has them: scaling done for the solver is folded into the first
coefficients, so that nobody who reads `coef` has to know of it. It holds arrays only and never a pickle.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hpcopt.data import Loaded
from hpcopt.data.labels import ChosenClasses
from hpcopt.data.table import Features
from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.problems.layers import ACTIVATIONS
from hpcopt.problems.losses import LOSSES, ClassLoss, MarginLoss
from hpcopt.problems.problem import Problem
from hpcopt.problems.targets import Targets

Vector = NDArray[np.float64]
Coefficients = NDArray[np.float64]

FORMAT = 1
"""Version of the file's layout; raised when an older hpcopt could misread it."""

TWO_CLASSES = 2


class Hidden(NamedTuple):
    """A hidden layer: the activation of coef.x + intercept follows it."""

    coef: Coefficients  # (width, inputs)
    intercept: Vector  # (width,)


@dataclass(frozen=True)
class Model:
    """Prediction of x is coef.x + intercept (with "relu" at least 0), the class on that side of zero, or the largest's.

    Parameters
    ----------
    coef
        Coefficients of the original features, shape (d,); of many classes (classes, d), with hidden layers of what the
        last of them returns.
    intercept
        Added to every prediction; of many classes shape (classes,).
    loss
        Name of the loss it was trained with.
    classes
        The labels behind -1 and +1, shape (2,), or behind the rows of `coef`; None for real targets.
    meta
        What else is worth knowing (solver, objective, ...): anything JSON can hold. Of a model that tells two
        groups of labels apart it has their lists "positive" and "negative"; `classes` are then (-1, +1).
    hidden
        The hidden layers, the first one with coefficients of the original features.
    activation
        What follows each hidden layer; None where there is none.

    Raises
    ------
    InputError
        A shape, loss or value that makes no model.
    """

    coef: Coefficients
    intercept: float | Vector
    loss: str
    classes: Vector | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[Hidden, ...] = ()
    activation: str | None = None

    def __post_init__(self) -> None:
        loss = LOSSES[self.loss]
        self._check_layers(many=issubclass(loss, ClassLoss), layered=loss.layered)
        for layer in (*self.hidden, Hidden(self.coef, np.asarray(self.intercept))):
            if not (np.isfinite(layer.coef).all() and np.isfinite(layer.intercept).all()):
                raise InputError("coef, intercept: expected finite numbers, got NaN or infinity")
        count = 0 if self.classes is None else self.classes.size
        right = {Targets.REAL: 0, Targets.SIGNS: TWO_CLASSES, Targets.CLASSES: len(self.coef)}[loss.targets]
        if count != right:
            raise InputError(f"classes: loss '{self.loss}' has {right or 'no'} classes, got {count}")

    def _check_layers(self, *, many: bool, layered: bool) -> None:
        """Refuse coefficients of another type or shape than the loss and one another ask for."""
        dimensions, shape = (2, "(classes, d)") if many else (1, "(d,)")
        if self.coef.ndim != dimensions or self.coef.dtype != np.float64:
            raise InputError(
                f"coef: expected float64 of shape {shape}, got {self.coef.dtype} of shape {self.coef.shape}"
            )
        if np.shape(self.intercept) != self.coef.shape[:-1]:
            raise InputError(f"intercept: expected shape {self.coef.shape[:-1]}, got {np.shape(self.intercept)}")
        if layered != bool(self.hidden) or layered != (self.activation in ACTIVATIONS):
            raise InputError(f"hidden, activation: not those of loss '{self.loss}'")
        widths = [len(layer.coef) for layer in self.hidden]
        inputs = [layer.coef.shape[1] for layer in self.hidden[1:]] + [self.coef.shape[-1]] * layered
        if widths != inputs or any(np.shape(layer.intercept) != layer.coef.shape[:1] for layer in self.hidden):
            raise InputError("hidden: layers whose shapes do not fit one another")

    @property
    def features(self) -> int:
        """Number of features, d."""
        return int((self.hidden[0].coef if self.hidden else self.coef).shape[-1])

    @property
    def groups(self) -> ChosenClasses | None:
        """The labels of the training data that -1 and +1 stand for, where it was trained to tell two groups apart."""
        if not {"positive", "negative"} <= self.meta.keys():
            return None
        return ChosenClasses(tuple(self.meta["positive"]), tuple(self.meta["negative"]))

    def decision(self, X: Features) -> Vector:
        """Return coef.x + intercept for each row of `X`, shape (n,), of many classes (n, classes).

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
        layers = (*self.hidden, Hidden(self.coef, np.asarray(self.intercept)))
        decision: Vector = np.asarray(X @ layers[0].coef.T[:columns], dtype=np.float64)
        decision += layers[0].intercept
        for layer in layers[1:]:
            decision = ACTIVATIONS[self.activation or ""].apply(decision) @ layer.coef.T
            decision += layer.intercept
        return decision

    def predict(self, X: Features) -> Vector:
        """Return the predicted label (of classes) or value of each row of `X`, shape (n,); see `decision`."""
        decision = self.decision(X)
        loss = LOSSES[self.loss]
        if self.classes is None:
            assert issubclass(loss, MarginLoss)
            return loss.prediction(decision)
        if loss.targets is Targets.SIGNS:
            return self.classes[(decision > 0.0).astype(np.intp)]
        return np.asarray(self.classes[decision.argmax(axis=1)])

    def save(self, path: str | Path) -> None:
        """Write the model to `path`; a reader finds the old file or the new one, never a half."""
        with written_whole(Path(path), "wb") as file:
            np.savez(
                file,
                format=np.array(FORMAT),
                coef=self.coef,
                intercept=np.array(self.intercept),
                classes=np.zeros(0) if self.classes is None else self.classes,
                loss=np.array(self.loss),
                meta=np.array(json.dumps(self.meta)),
                **self._layer_arrays(),
            )

    def _layer_arrays(self) -> dict[str, Any]:
        """Return what a file says of hidden layers: hidden_1_coef, hidden_1_intercept, ..., and the activation."""
        if not self.hidden:
            return {}
        layers = {
            f"hidden_{place}_{name}": array
            for place, layer in enumerate(self.hidden, start=1)
            for name, array in layer._asdict().items()
        }
        return {**layers, "activation": np.array(self.activation)}


def trained(problem: Problem, loaded: Loaded, w: Vector, meta: dict[str, Any]) -> Model:
    """Return the model that the solver's vector `w` is of the features as they were before scaling.

    Parameters
    ----------
    loaded
        The data, for their classes and scaling.
    meta
        See `Model`.
    """
    if problem.layers is None:
        coef, intercept = (w[:-1], w[-1:]) if problem.intercept else (w, np.zeros(1))
        coef, intercept = _of_the_data(coef[None], intercept, loaded)
        return Model(coef[0], float(intercept[0]), problem.loss.name, loaded.classes, meta)
    weights = problem.layers.weights(w)
    shifts = problem.layers.shifts(w) or [np.zeros(problem.layers.widths[-1])]
    layers = [Hidden(W.T.copy(), shift.copy()) for W, shift in zip(weights, shifts, strict=True)]
    layers[0] = Hidden(*_of_the_data(*layers[0], loaded))
    *hidden, (coef, intercept) = layers
    activation = problem.layers.activation if hidden else None
    return Model(coef, intercept, problem.loss.name, loaded.classes, meta, tuple(hidden), activation)


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
            intercept=_intercept(arrays["intercept"]),
            loss=str(arrays["loss"]),
            classes=arrays["classes"].astype(np.float64) if arrays["classes"].size else None,
            meta=json.loads(str(arrays["meta"])),
            hidden=_hidden(arrays),
            activation=str(arrays["activation"]) if "activation" in arrays else None,
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: no model: {error}") from None


def _intercept(array: NDArray[Any]) -> float | Vector:
    return array.astype(np.float64) if array.ndim else float(array)


def _hidden(arrays: dict[str, NDArray[Any]]) -> tuple[Hidden, ...]:
    """Return the hidden layers in a file, in their order."""
    count = sum(name.startswith("hidden_") and name.endswith("_coef") for name in arrays)
    try:
        return tuple(
            Hidden(*(arrays[f"hidden_{place}_{name}"].astype(np.float64) for name in Hidden._fields))
            for place in range(1, count + 1)
        )
    except KeyError as error:
        raise ValueError(f"it lacks {error.args[0]}") from None


def unscaled(
    w: Coefficients, intercept: Vector, shift: Vector | None, scale: Vector | None
) -> tuple[Coefficients, Vector]:
    """Return coefficients (k, d) and intercepts (k,) for the original features x.

    Parameters
    ----------
    w, intercept
        Of the features (x - shift) / scale, which the solver saw: shapes (k, d) and (k,).
    shift, scale
        Shape (d,); None stands for zeros and for ones.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a model refuses what is not finite, in one line
        coef = w.copy() if scale is None else w / scale
        return coef, intercept if shift is None else intercept - coef @ shift


def _of_the_data(w: Coefficients, intercept: Vector, loaded: Loaded) -> tuple[Coefficients, Vector]:
    if loaded.scaling is None:
        return w, intercept
    return unscaled(w, intercept, loaded.scaling.shift, loaded.scaling.scale)


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
