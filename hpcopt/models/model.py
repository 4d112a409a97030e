"""A trained model: the result of a run, and the input of `hpcopt predict`.

It refers to the user's original features, whatever scaling was done for the solver.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hpcopt.annotations import shown
from hpcopt.arrays import Vector
from hpcopt.data.hashed import MOST_BITS
from hpcopt.data.labels import ChosenClasses
from hpcopt.data.table import Features, as_floats
from hpcopt.errors import InputError
from hpcopt.models.file import HIDDEN, read, write
from hpcopt.problems.layers import ACTIVATIONS
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS, Affine
from hpcopt.problems.targets import Targets
from hpcopt.stored import word

Coefficients = NDArray[np.float64]

TWO_CLASSES = 2


@dataclass(frozen=True)
class Model:
    """Predicts coef.x + intercept (with "relu" at least 0), or its sign's class, or the class with the largest output.

    Parameters
    ----------
    coef
        Coefficients of the original features, shape (d,), or (classes, d) for several classes; with hidden layers, of
        the outputs of the last hidden layer.
    intercept
        Added to every prediction; for several classes of shape (classes,).
    loss
        Name of the loss it was trained with.
    classes
        The labels for -1 and +1, shape (2,), or for the rows of `coef`; None for real targets.
    meta
        Further information (solver, objective, ...), any JSON object. For a model that distinguishes two groups of
        labels it contains their lists "positive" and "negative"; `classes` are then (-1, +1). For hashed features it
        contains "hash_bits", and there are 2**hash_bits features.
    hidden
        The hidden layers, the first one with coefficients of the original features.
    activation
        The activation after each hidden layer; None without hidden layers.
    family
        Name of its model family: "linear", "mlp".

    Raises
    ------
    InputError
        For an invalid shape, loss or value.
    """

    coef: Coefficients
    intercept: float | Vector
    loss: str
    classes: Vector | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[Affine, ...] = ()
    activation: str | None = None
    family: str = "linear"

    def __post_init__(self) -> None:
        loss, family = LOSSES[self.loss], MODELS[self.family]
        if not family.takes(loss):
            raise InputError(f"loss: model '{self.family}' does not take '{self.loss}'")
        self._check_layers(many=loss.targets is Targets.CLASSES, layered=family.layered)
        for layer in (*self.hidden, Affine(self.coef, np.asarray(self.intercept))):
            if not (np.isfinite(layer.coef).all() and np.isfinite(layer.intercept).all()):
                raise InputError("coef, intercept: expected finite numbers, got NaN or infinity")
        if self.hash_bits is not None and self.features != 2**self.hash_bits:
            raise InputError(f"meta: hash_bits: {self.hash_bits} for a model of {self.features} features")
        count = 0 if self.classes is None else self.classes.size
        if self.classes is not None and not (self.classes.ndim == 1 and np.isfinite(self.classes).all()):
            raise InputError("classes: expected finite numbers of shape (classes,)")
        right = {Targets.REAL: 0, Targets.SIGNS: TWO_CLASSES, Targets.CLASSES: len(self.coef)}[loss.targets]
        if count != right:
            raise InputError(f"classes: loss '{self.loss}' has {right or 'no'} classes, got {count}")

    def _check_layers(self, *, many: bool, layered: bool) -> None:
        """Raise an error for coefficients whose type or shape does not match the loss or each other."""
        dimensions, shape = (2, "(classes, d)") if many else (1, "(d,)")
        if self.coef.ndim != dimensions or self.coef.dtype != np.float64:
            raise InputError(
                f"coef: expected float64 of shape {shape}, got {self.coef.dtype} of shape {self.coef.shape}"
            )
        if np.shape(self.intercept) != self.coef.shape[:-1]:
            raise InputError(f"intercept: expected shape {self.coef.shape[:-1]}, got {np.shape(self.intercept)}")
        if layered != bool(self.hidden) or layered != (self.activation in ACTIVATIONS):
            raise InputError(f"hidden, activation: not those of model '{self.family}'")
        if any(layer.coef.ndim != 2 for layer in self.hidden):
            raise InputError("hidden: expected coefficients of shape (units, inputs)")
        widths = [len(layer.coef) for layer in self.hidden]
        inputs = [layer.coef.shape[1] for layer in self.hidden[1:]] + [self.coef.shape[-1]] * layered
        if widths != inputs or any(np.shape(layer.intercept) != layer.coef.shape[:1] for layer in self.hidden):
            raise InputError("hidden: layers whose shapes do not match")

    @property
    def features(self) -> int:
        """Number of features, d."""
        return int((self.hidden[0].coef if self.hidden else self.coef).shape[-1])

    @property
    def hash_bits(self) -> int | None:
        """The number of bits into which features of text are hashed; None if they are not."""
        bits: int | None = self.meta.get("hash_bits")
        return bits

    @property
    def groups(self) -> ChosenClasses | None:
        """The labels of the training data for -1 and +1, if it was trained to distinguish two groups of labels."""
        positive, negative = (tuple(self.meta.get(side, ())) for side in ("positive", "negative"))
        return ChosenClasses(positive, negative) if positive and negative else None

    def decision(self, X: Features) -> Vector:
        """Return coef.x + intercept for each row of `X`, shape (n,), or (n, classes) for several classes.

        Parameters
        ----------
        X
            Rows, shape (n, d), dense or CSR. Sparse rows may have fewer columns (text files end with the last
            feature they use); the missing ones are zero.

        Raises
        ------
        InputError
            For a different number of features.
        """
        if X.ndim != 2:
            raise InputError(f"expected rows of shape (n, {self.features}), got shape {X.shape}")
        columns = X.shape[1]
        if columns > self.features or (columns < self.features and not issparse(X)):
            raise InputError(f"the rows have {columns} features, the model has {self.features}")
        layers = (*self.hidden, Affine(self.coef, np.asarray(self.intercept)))
        decision: Vector = np.asarray(X @ layers[0].coef.T[:columns], dtype=np.float64)
        decision += layers[0].intercept
        for layer in layers[1:]:
            decision = ACTIVATIONS[self.activation or ""].apply(decision) @ layer.coef.T
            decision += layer.intercept
        return decision

    def predict(self, X: Features) -> Vector:
        """Return the predicted label (for classes) or value of each row of `X`, shape (n,); see `decision`."""
        decision = self.decision(X)
        loss = LOSSES[self.loss]()
        if self.classes is None:
            return loss.prediction(decision)
        if loss.targets is Targets.SIGNS:
            return self.classes[(decision > 0.0).astype(np.intp)]
        return np.asarray(self.classes[decision.argmax(axis=1)])

    def save(self, path: str | Path) -> None:
        """Write the model to `path` atomically: a reader finds the old file or the complete new one."""
        own = {
            "coef": self.coef,
            "intercept": np.array(self.intercept),
            "classes": np.zeros(0) if self.classes is None else self.classes,
            "loss": np.array(self.loss),
            "meta": np.array(json.dumps(self.meta)),
            "model": np.array(self.family),
        }
        write(path, {**own, **self._layer_arrays()})

    def _layer_arrays(self) -> dict[str, Any]:
        """Return the file's arrays for hidden layers: hidden_1_coef, hidden_1_intercept, ..., and the activation."""
        if not self.hidden:
            return {}
        layers = {
            f"{HIDDEN}{place}_{name}": array
            for place, layer in enumerate(self.hidden, start=1)
            for name, array in layer._asdict().items()
        }
        return {**layers, "activation": np.array(self.activation)}


def load(path: str | Path) -> Model:
    """Return the model in the file `path`.

    Raises
    ------
    InputError
        If there is no such file, it is not a model, it is damaged, or it comes from a newer hpcopt.
    """
    arrays = read(path)
    try:
        family, loss = _family_and_loss(arrays)
        classes, intercept = _numbers(arrays, "classes"), _numbers(arrays, "intercept")
        return Model(
            coef=_numbers(arrays, "coef"),
            intercept=intercept if intercept.ndim else float(intercept),
            loss=loss,
            classes=classes if classes.size else None,
            meta=_meta(word("meta", arrays["meta"])),
            hidden=_hidden(arrays),
            activation=word("activation", arrays["activation"]) if "activation" in arrays else None,
            family=family,
        )
    except InputError as error:
        raise InputError(f"{path}: not a model: {error.message}") from None


def _numbers(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[np.float64]:
    """Return the array of real numbers with this name."""
    if name not in arrays:
        raise InputError(f"it lacks {name}")
    return as_floats(arrays[name], name).astype(np.float64, copy=False)


def _meta(text: str) -> dict[str, Any]:
    """Return the further information; the parts that predictions need are checked."""
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"meta: invalid JSON ({error})") from None
    if not isinstance(meta, dict):
        raise InputError(f"meta: expected a JSON object, got {shown(meta)}")
    zero_based = meta.get("zero_based")
    if not isinstance(zero_based, bool | None):
        raise InputError(f"meta: zero_based: expected true, false or null, got {shown(zero_based)}")
    bits = meta.get("hash_bits")
    if bits is not None and not (type(bits) is int and 1 <= bits <= MOST_BITS):
        raise InputError(f"meta: hash_bits: expected an integer from 1 to {MOST_BITS}, got {shown(bits)}")
    sides = [meta.get(side, []) for side in ("positive", "negative")]
    if not all(isinstance(side, list) for side in sides):
        raise InputError("meta: positive, negative: expected lists of labels")
    if all(sides):
        ChosenClasses(*map(tuple, sides))
    return meta


def _family_and_loss(arrays: dict[str, NDArray[Any]]) -> tuple[str, str]:
    """Return the names of model family and loss; in older files, which have no family, a perceptron's loss is "mlp"."""
    loss = word("loss", arrays["loss"])
    if "model" in arrays:
        return word("model", arrays["model"]), loss
    return ("mlp", "softmax") if loss == "mlp" else ("linear", loss)


def _hidden(arrays: dict[str, NDArray[Any]]) -> tuple[Affine, ...]:
    """Return the hidden layers in a file, in order."""
    count = sum(name.startswith(HIDDEN) and name.endswith("_coef") for name in arrays)
    return tuple(
        Affine(*(_numbers(arrays, f"{HIDDEN}{place}_{name}") for name in Affine._fields))
        for place in range(1, count + 1)
    )
