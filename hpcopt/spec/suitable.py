"""Which solvers suit a loss: its oracle must have what they ask for. Told before any run."""

from __future__ import annotations

from typing import Any

from hpcopt.problems.losses import LOSSES, Loss
from hpcopt.solvers import SOLVERS, Solver
from hpcopt.solvers.parts.step_size import asks


def lacking(solver: Solver[Any], loss: type[Loss]) -> tuple[str, str] | None:
    """Return the solver's key that cannot be served and why, None if `loss` has all that `solver` asks for."""
    if solver.needs_hessian and not loss.hessian:
        names = ", ".join(name for name in SOLVERS if SOLVERS[name].minimises and not SOLVERS[name].needs_hessian)
        return "name", f'{solver.name} needs second derivatives, and loss "{loss.name}" gives none; take one of {names}'
    step_size = getattr(solver, "step_size", 0.0)
    if asks(step_size) and not loss.bounded:
        return "step_size", f'"{step_size}" needs a smoothness constant, and loss "{loss.name}" has none; give a number'
    return None


def usual_solver(loss: str) -> str:
    """Return the name of the solver to take where none is asked for."""
    without_hessian = loss in LOSSES and not LOSSES[loss].hessian
    return "lbfgs" if without_hessian else "newton-cg"


def usual_tolerance(loss: str) -> float:
    """Return the part of the first gradient's norm to stop at where none is asked for.

    Where the loss is not convex it has kinks or saddles, at which gradients stay large long after the model is good.
    """
    return 1e-8 if loss not in LOSSES or LOSSES[loss].convex else 3e-3
