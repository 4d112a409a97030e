"""An objective without data: a model, a loss and a penalty, and the properties that they give it.

Each of the three declares whether it is convex, smooth, and so on; the objective has a property if all of them have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpcopt.problems.losses import Loss
from hpcopt.problems.models import ModelFamily, SizedModel
from hpcopt.problems.penalties import Penalty

Quality = Literal["convex", "smooth", "hessian", "bounded"]


@dataclass(frozen=True)
class Formulation:
    """The mean loss of a model's outputs plus a penalty on its weights."""

    model: ModelFamily
    loss: Loss
    penalty: Penalty

    def sized(self, features: int, classes: int = 0) -> SizedModel:
        """Return the model for `features` and, if the loss's targets are classes, for `classes`."""
        return self.model.sized(self.loss, features, classes)

    @property
    def convex(self) -> bool:
        """Whether the objective is convex in the solver's vector; if not, a small gradient proves nothing."""
        return self.without("convex") is None

    @property
    def strongly_convex(self) -> bool:
        """Whether it is strongly convex whatever the data, by its penalty."""
        model = self.sized(features=1, classes=2)
        return self.convex and self.penalty.curvature > 0.0 and model.penalised == model.size

    @property
    def smooth(self) -> bool:
        """Whether the objective is continuously differentiable."""
        return self.without("smooth") is None

    @property
    def hessian(self) -> bool:
        """Whether the oracle has second derivatives, Hessian-vector products and rays, as an `Objective` has."""
        return self.without("hessian") is None

    @property
    def bounded(self) -> bool:
        """Whether the oracle knows a Lipschitz constant of the gradient, as a step size "c/L" requires."""
        return self.without("bounded") is None

    def without(self, quality: Quality) -> tuple[str, str] | None:
        """Return kind and name of the first part that lacks a quality, as ("loss", "softmax"); None if all have it."""
        parts = (("model", self.model), ("loss", self.loss), ("penalty", self.penalty))
        return next(((kind, part.name) for kind, part in parts if not getattr(part, quality)), None)
