"""The multi-layer perceptron: layers of weights and biases, an activation after each but the last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpcopt.errors import InputError
from hpcopt.problems.layers import Layers
from hpcopt.problems.losses import Loss, OutputLoss
from hpcopt.problems.models.base import ModelFamily, SizedModel, register
from hpcopt.problems.models.network import Network


@register("mlp")
@dataclass(frozen=True, kw_only=True)
class MultiLayerPerceptron(ModelFamily):
    """Multi-layer perceptron, not convex; for first-order solvers with a given step size.

    Parameters
    ----------
    hidden
        The widths of the hidden layers.
    activation
        The activation of the hidden layers: "relu" or "tanh".
    intercept
        Every layer has biases, which are not penalised; must be true.
    """

    hidden: tuple[int, ...] = (64,)
    activation: Literal["relu", "tanh"] = "relu"
    intercept: bool = True

    convex = False
    hessian = False
    bounded = False
    layered = True
    usual_loss = "softmax"
    equal_weights = "all units of a layer stay equal"

    def __post_init__(self) -> None:
        if not self.intercept:
            raise InputError(f'intercept: the layers of model "{self.name}" always have biases; remove it')

    @property
    def smooth(self) -> bool:
        return self.activation != "relu"

    @staticmethod
    def takes(loss: type[Loss]) -> bool:
        return issubclass(loss, OutputLoss)

    def sized(self, loss: Loss, features: int, classes: int) -> SizedModel:
        assert isinstance(loss, OutputLoss)
        return Network(loss, Layers((features, *self.hidden, classes), biases=True, activation=self.activation))

    def words(self) -> str:
        return f" of the outputs behind {len(self.hidden)} hidden layer{'s' * (len(self.hidden) > 1)}"
