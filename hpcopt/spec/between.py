"""What must hold between tables of a specification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hpcopt.problems.formulation import Formulation
from hpcopt.problems.table import ProblemTable
from hpcopt.results.choice import COSTS, CompareTable, aims
from hpcopt.results.goal import Nearness
from hpcopt.results.stopping import StopRule
from hpcopt.solvers import Solver
from hpcopt.spec.cluster import ClusterTable
from hpcopt.spec.validation import Origin


def check_gap(stop: StopRule, problem: ProblemTable, formulation: Formulation, origin: Origin) -> None:
    """Refuse a certificate that rests on strong convexity where there is none."""
    if stop.gap is None:
        return
    nonconvex, where = formulation.without("convex"), ("stop", "gap")
    if formulation.penalty.curvature == 0:
        raise origin.error(where, "requires problem.l2 > 0, which the bound ||gradient||^2 / (2 l2) is based on")
    if nonconvex is not None:
        raise origin.error(where, f"requires a convex {nonconvex[0]}; {nonconvex[1]} is not convex")
    if problem.intercept:
        raise origin.error(where, "requires problem.intercept = false: the intercept is not penalised")


def check_kkt(stop: StopRule, formulation: Formulation, origin: Origin) -> None:
    """Refuse a goal for a column that only records with a penalty that is not smooth have."""
    if stop.kkt is not None and formulation.penalty.smooth:
        what = f"requires a penalty that is not smooth, got {formulation.penalty.name}; use gradient_norm"
        raise origin.error(("stop", "kkt"), what)


def check_gradient(stop: StopRule, formulation: Formulation, origin: Origin) -> None:
    """Refuse goals for the gradient where it need not vanish at the optimum."""
    if formulation.loss.flat_minima:
        return
    for key in ("gradient_norm", "relative_gradient", "scaled_gradient", "kkt"):
        if getattr(stop, key) is not None:
            what = f"requires a smooth loss: at an optimum of {formulation.loss.name} the gradient need not vanish"
            raise origin.error(("stop", key), f'{what}; use a budget such as "rounds", or "target"')


def check_slots(stop: StopRule, cluster: ClusterTable, solvers: Sequence[Solver[Any]], origin: Origin) -> None:
    """Refuse a budget of time slots, or their duration, where nobody counts them."""
    if cluster.slot is not None and not any(solver.needs.rates for solver in solvers):
        raise origin.error(("cluster", "slot"), f"{solvers[0].name} makes no steps in time slots; remove it")
    if stop.slots is None:
        return
    where = ("stop", "slots")
    without = next((solver.name for solver in solvers if not solver.needs.rates), None)
    if without is not None:
        raise origin.error(where, f"requires solvers that make their steps in time slots; {without} does not")
    if cluster.hubs is None and cluster.rates is None and any(s.needs.topology != "hubs" for s in solvers):
        raise origin.error(where, "requires cluster.hubs or cluster.rates, without which slots are not counted")


def check_nearness(stop: StopRule, problem: ProblemTable, origin: Origin) -> None:
    """Refuse a target relative to an optimum that is not known."""
    if isinstance(stop.target, Nearness) and problem.optimum is None:
        raise origin.error(
            ("stop", "target"), 'is relative to problem.optimum, which is missing; give a number or "auto"'
        )


def check_optimum(problem: ProblemTable, formulation: Formulation, origin: Origin) -> None:
    """Refuse to compute an optimum that nothing can certify."""
    if problem.optimum != "auto":
        return
    nonconvex, where = formulation.without("convex"), ("problem", "optimum")
    if nonconvex is not None:
        kind, name = nonconvex
        raise origin.error(
            where, f'"auto" requires a convex objective, and {kind} "{name}" is not convex; give a number'
        )
    if not formulation.loss.flat_minima:
        name = formulation.loss.name
        raise origin.error(where, f'"auto" requires a smooth loss, and "{name}" is not smooth; give a number')


def check_target(stop: StopRule, solvers: Sequence[Solver[Any]], origin: Origin) -> None:
    """Refuse a target for a column that the records of an asynchronous run have only at its end."""
    if stop.target is None or stop.target_on == "objective":
        return
    without = next((solver.name for solver in solvers if solver.needs.pace == "own"), None)
    if without is not None:
        what = f'{without} is asynchronous: the nodes\' own objectives are measured at its end only; use "objective"'
        raise origin.error(("stop", "target_on"), what)


def check_best(compare: CompareTable, stop: StopRule, origin: Origin) -> None:
    """Refuse to choose by the costs of a goal that there is not."""
    if compare.best in COSTS and not aims(stop):
        what = f'"{compare.best}" requires a goal in [stop], such as target; without one, use "objective"'
        raise origin.error(("compare", "best"), what)
