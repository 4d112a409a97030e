"""The default solver and the default stop rule of an objective."""

from __future__ import annotations

from typing import Any

from hpcopt.problems.formulation import Formulation
from hpcopt.problems.losses import LOSSES
from hpcopt.problems.models import MODELS
from hpcopt.problems.penalties import PENALTIES

UNTESTED_ROUNDS = 1000  # lbfgs with hinge was then 5e-7 to 3e-3 above the minimum, relative to it, on four data sets


def usual_solver(model: str, loss: str, *, smooth: bool = True) -> str:
    """Return the name of the default solver.

    Parameters
    ----------
    loss
        Empty: the model's default loss.
    smooth
        Whether the penalty is smooth.
    """
    formulation = _formulation(model, loss)
    if not smooth:
        return "prox-lbfgs" if formulation is None or formulation.loss.flat_minima else "adagrad-cmd"
    return "newton-cg" if formulation is None or (formulation.hessian and formulation.loss.curved) else "lbfgs"


def usual_stop(model: str, loss: str) -> dict[str, Any]:
    """Return the default table [stop]: a goal for the scaled gradient, or a budget where it need not vanish.

    A nonconvex objective has kinks or saddles, at which gradients stay large long after the model is good.
    """
    formulation = _formulation(model, loss)
    if formulation is not None and not formulation.loss.flat_minima:
        return {"rounds": UNTESTED_ROUNDS}
    if formulation is not None and not formulation.convex:
        return {"scaled_gradient": 1e-2}
    return {"scaled_gradient": 1e-8}


def _formulation(model: str, loss: str) -> Formulation | None:
    """Return the objective with these names; None for unknown names, which the specification reports."""
    if model not in MODELS or (loss or MODELS[model].usual_loss) not in LOSSES:
        return None
    return Formulation(MODELS[model](), LOSSES[loss or MODELS[model].usual_loss](), PENALTIES["none"]())
