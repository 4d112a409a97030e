"""The shape of a network from rows to outputs, and the layout of its weights in the solver's vector.

    a_0 = x,   a_l = g(a_{l-1} W_l + b_l),   outputs = a_{L-1} W_L + b_L

The vector holds W_1, ..., W_L, each row by row, then b_1, ..., b_L: the penalised coordinates come first. Without
hidden layers this is softmax regression: W_1 (features, classes), then b_1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Columns, Vector


class Activation(NamedTuple):
    """The activation after a hidden layer.

    Attributes
    ----------
    apply
        Applies it in place.
    slope
        Its derivative, given its value.
    """

    apply: Callable[[Columns], Columns]
    slope: Callable[[Columns], Columns]


ACTIVATIONS = {
    "relu": Activation(lambda z: np.maximum(z, 0.0, out=z), lambda a: (a > 0.0).astype(np.float64)),
    "tanh": Activation(lambda z: np.tanh(z, out=z), lambda a: 1.0 - a * a),
}


@dataclass(frozen=True)
class Layers:
    """A network's shape.

    Parameters
    ----------
    widths
        Features, widths of the hidden layers, classes.
    biases
        Whether the layers have biases.
    activation
        The activation of the hidden layers: a key of `ACTIVATIONS`.
    """

    widths: tuple[int, ...]
    biases: bool
    activation: str = "relu"

    @property
    def hidden(self) -> int:
        """Number of hidden layers."""
        return len(self.widths) - 2

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the weights, (inputs, outputs) of each layer."""
        return list(itertools.pairwise(self.widths))

    @cached_property
    def penalised(self) -> int:
        """Number of weights, which carry the penalty; biases do not."""
        return sum(rows * columns for rows, columns in self.shapes)

    @cached_property
    def size(self) -> int:
        """Number of weights and biases: the length of the vector."""
        return self.penalised + (sum(self.widths[1:]) if self.biases else 0)

    def weights(self, w: Vector) -> list[Columns]:
        """Return W_1, ..., W_L as views of the vector `w`, shape (size,)."""
        ends = itertools.accumulate(rows * columns for rows, columns in self.shapes)
        return [w[end - r * c : end].reshape(r, c) for end, (r, c) in zip(ends, self.shapes, strict=True)]

    def shifts(self, w: Vector) -> list[Vector]:
        """Return b_1, ..., b_L as views of the vector `w`, shape (size,); none without biases."""
        if not self.biases:
            return []
        ends = itertools.accumulate(self.widths[1:], initial=self.penalised)
        return [w[start:end] for start, end in itertools.pairwise(ends)]

    def restricted(self, features: NDArray[np.int64]) -> tuple[NDArray[np.int64], Layers]:
        """Return the coordinates that matter for rows with only these `features`, and the network on these features."""
        width = self.widths[1]
        first = (features[:, None] * width + np.arange(width)).ravel()
        coordinates = np.concatenate([first, np.arange(self.widths[0] * width, self.size)])
        return coordinates, replace(self, widths=(len(features), *self.widths[1:]))

    def random_start(self, seed: int) -> Vector:
        """Return normal weights and zero biases, shape (size,), such that outputs vary as much as the features.

        The variance is 2 / inputs before "relu" (He et al. 2015), otherwise 2 / (inputs + outputs) (Glorot and Bengio
        2010).
        """
        w = np.zeros(self.size)
        rng = np.random.default_rng(seed)
        weights = self.weights(w)
        for layer, W in enumerate(weights, start=1):
            rectified = self.activation == "relu" and layer < len(weights)
            W[:] = rng.standard_normal(W.shape) * np.sqrt(2.0 / (W.shape[0] if rectified else sum(W.shape)))
        return w
