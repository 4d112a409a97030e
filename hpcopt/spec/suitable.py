"""What suits a loss where nothing else is asked for: the usual solver, and the usual tolerance."""

from __future__ import annotations

from hpcopt.problems.losses import LOSSES


def usual_solver(loss: str) -> str:
    """Return the name of the solver to take where none is asked for."""
    without_hessian = loss in LOSSES and not LOSSES[loss].hessian
    return "lbfgs" if without_hessian else "newton-cg"


def usual_tolerance(loss: str) -> float:
    """Return the part of the first gradient's norm to stop at where none is asked for.

    Where the loss is not convex it has kinks or saddles, at which gradients stay large long after the model is good.
    """
    return 1e-8 if loss not in LOSSES or LOSSES[loss].convex else 3e-3
