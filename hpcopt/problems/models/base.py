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
        """Coordinates of the vector w of a solver, d."""

    @property
    @abc.abstractmethod
    def penalised(self) -> int:
        """The first so many of them carry the penalty."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """Outputs of a row."""

    @property
    def activation(self) -> str | None:
        """What follows each layer but the last; None where there is one layer only."""
        return None

    @abc.abstractmethod
    def random_start(self, seed: int) -> Vector:
        """Return a random start, shape (size,), of outputs that vary about as much as the features."""

    @abc.abstractmethod
    def rows(self, X: Any) -> Any:
        """Return the features `X`, (n, features), numpy array or scipy CSR, as the oracle wants to have them."""

    @abc.abstractmethod
    def oracle(self, matrix: Matrix, y: Vector, penalty: Penalty, *, total: int, meter: Meter) -> Oracle:
        """Return the objective on a shard.

        Parameters
        ----------
        matrix
            The shard's `rows`.
        y
            Its targets, shape (n_k,).
        total
            Rows of all shards together.
        meter
            Where work is reported.
        """

    @abc.abstractmethod
    def warm(self, matrix: Matrix, y: Vector) -> None:
        """Compile, or load, every kernel that the oracle uses, by asking it for everything on a few rows."""

    @abc.abstractmethod
    def score(self, w: Vector, matrix: Matrix, y: Vector) -> float:
        """Return how many rows the model `w` classifies right, or the sum of its squared errors on real targets."""

    @abc.abstractmethod
    def layers(self, w: Vector) -> list[Affine]:
        """Return the layers that `w` is, the first one with coefficients of the features as the solver saw them."""


@dataclass(frozen=True, kw_only=True)
class ModelFamily(abc.ABC):
    """Base of all model families; subclasses are frozen keyword-only dataclasses, registered with `register`.

    Their fields are keys of [problem].

    Class attributes
    ----------------
    convex, hessian, bounded
        Whether the objective is convex in w where the loss is; whether the oracle has second derivatives, and a
        Lipschitz constant of the gradient, where the loss has them.
    layered
        Whether there are layers between a row and the outputs.
    usual_loss
        The name of the loss where none is asked for.
    equal_weights
        What goes wrong from a start whose weights are all equal; None if nothing.
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
        """Tell whether it can be had with `loss`."""
        return True

    @abc.abstractmethod
    def sized(self, loss: Loss, features: int, classes: int) -> SizedModel:
        """Return the model of `features` with `loss`, of `classes` where these are its targets."""

    def words(self) -> str:
        """Return what stands behind the loss where the objective is told; empty for the linear model."""
        return ""


MODELS: Registry[type[ModelFamily]] = Registry("model")
register = MODELS.register
