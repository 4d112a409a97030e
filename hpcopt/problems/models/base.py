"""The base of all model families: their parameters, and the model for given data and loss.

A family (`ModelFamily`) is known before the data; with the loss, the number of features and the classes it becomes a
`SizedModel`, which defines the length and layout of a solver's vector and the oracle on a shard.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.fabric.meter import Meter
from hpcopt.problems.losses import Loss
from hpcopt.problems.matrix import Matrix
from hpcopt.problems.oracle import Oracle
from hpcopt.problems.penalties import Penalty
from hpcopt.registry import Registry


class Affine(NamedTuple):
    """One layer of a trained model: coef.x + intercept."""

    coef: NDArray[np.float64]  # (outputs, inputs)
    intercept: Vector  # (outputs,)


class SizedModel(abc.ABC):
    """Base of the models whose loss and sizes are known; subclasses are frozen dataclasses."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """d, the number of coordinates of the solver's vector w."""

    @property
    @abc.abstractmethod
    def penalised(self) -> int:
        """Number of leading coordinates with the penalty."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """Number of outputs per row."""

    @property
    def activation(self) -> str | None:
        """The activation after each layer but the last; None if there is only one layer."""
        return None

    @abc.abstractmethod
    def random_start(self, seed: int) -> Vector:
        """Return a random starting point, shape (size,), whose outputs vary about as much as the features."""

    @abc.abstractmethod
    def rows(self, X: Any) -> Any:
        """Return the features `X`, (n, features), numpy array or scipy CSR, in the form that the oracle expects."""

    @abc.abstractmethod
    def oracle(
        self, matrix: Matrix, y: Vector, penalty: Penalty, *, total: int, meter: Meter, entries: int | None = None
    ) -> Oracle:
        """Return the objective on a shard.

        Parameters
        ----------
        matrix
            The shard's `rows`.
        y
            Its targets, shape (n_k,).
        total
            Number of rows of all shards.
        meter
            The meter that counts its work.
        entries
            Number of stored entries of all shards; default: as if all had as many per row as this one.
        """

    @abc.abstractmethod
    def warm(self, matrix: Matrix, y: Vector) -> None:
        """Compile or load every kernel that the oracle uses, by calling all its methods on a few rows."""

    @abc.abstractmethod
    def score(self, w: Vector, matrix: Matrix, y: Vector) -> float:
        """Return the number of rows that the model `w` classifies correctly, or the sum of squared errors."""

    @abc.abstractmethod
    def layers(self, w: Vector) -> list[Affine]:
        """Return the layers in `w`; the first one has the coefficients of the features as seen by the solver."""


@dataclass(frozen=True, kw_only=True)
class ModelFamily(abc.ABC):
    """Base of all model families; subclasses are frozen keyword-only dataclasses, registered with `register`.

    Their fields are keys of [problem].

    Class attributes
    ----------------
    convex, hessian, bounded
        Whether, for a loss with the respective property, the objective is convex in w, and the oracle has second
        derivatives and a Lipschitz constant of the gradient.
    layered
        Whether there are hidden layers.
    usual_loss
        The name of the default loss.
    equal_weights
        The problem with a starting point of equal weights; None if there is none.
    """

    name: ClassVar[str]
    convex: ClassVar[bool] = True
    hessian: ClassVar[bool] = True
    bounded: ClassVar[bool] = True
    layered: ClassVar[bool] = False
    usual_loss: ClassVar[str]
    equal_weights: ClassVar[str | None] = None

    @property
    def smooth(self) -> bool:
        """Whether the outputs are continuously differentiable in w."""
        return True

    @staticmethod
    def takes(loss: type[Loss]) -> bool:  # noqa: ARG004
        """Return whether it supports `loss`."""
        return True

    @abc.abstractmethod
    def sized(self, loss: Loss, features: int, classes: int) -> SizedModel:
        """Return the model for `features` and `loss` and, if the loss's targets are classes, for `classes`."""

    def words(self) -> str:
        """Return the part after the loss in the description of the objective; empty for the linear model."""
        return ""


MODELS: Registry[type[ModelFamily]] = Registry("model")
register = MODELS.register
