"""The function that compares a solver's requirements with the setting in which it is to run.

The specification calls it before anything is read, and a run calls it before and after the data are read, each time
with all that is known so far.
"""

from __future__ import annotations

from typing import Any

from hpcopt.solvers.base import SOLVERS, Solver
from hpcopt.solvers.needs import Objection, Setting
from hpcopt.solvers.parts.step_size import asks


def objections(solver: Solver[Any], setting: Setting) -> list[Objection]:
    """Return the objections to `solver` in `setting`: first those that cannot be overridden, then those of theory.

    The list may grow when more of the setting is known. Theory is checked only if the solver could run at all: for
    example, a compressor that cannot encode the model has no variance.
    """
    impossible = [check(solver, setting) for check in _IMPOSSIBLE]
    if any(impossible):
        return [objection for objection in impossible if objection is not None]
    own = [condition.objection(solver, setting) for condition in solver.needs.also]
    beyond = [check(solver, setting) for check in _BEYOND_THEORY]
    found = [objection for objection in (*own, *beyond) if objection is not None]
    return sorted(found, key=lambda objection: objection.can_be_forced)


def _purpose(solver: Solver[Any], setting: Setting) -> Objection | None:
    if not setting.fitting or solver.minimises:
        return None
    what = "does not minimise the objective; choose another solver (see: hpcopt list solvers)"
    return Objection("solver.name", what, can_be_forced=False)


def _hessian(solver: Solver[Any], setting: Setting) -> Objection | None:
    lacks = None if setting.problem is None else setting.problem.without("hessian")
    if not solver.needs.hessian or lacks is None:
        return None
    kind, part = lacks
    names = ", ".join(name for name in SOLVERS if SOLVERS[name].minimises and not SOLVERS[name].needs.hessian)
    what = f'{solver.name} requires second derivatives, which {kind} "{part}" does not provide; choose one of {names}'
    return Objection("solver.name", what, can_be_forced=False)


def _composite(solver: Solver[Any], setting: Setting) -> Objection | None:
    penalty = None if setting.problem is None else setting.problem.penalty
    if solver.needs.composite or penalty is None or penalty.smooth:
        return None
    names = ", ".join(name for name in SOLVERS if SOLVERS[name].needs.composite)
    what = f'{solver.name} requires a smooth penalty, which "{penalty.name}" is not; choose one of {names}'
    return Objection("solver.name", what, can_be_forced=False)


def _smoothness(solver: Solver[Any], setting: Setting) -> Objection | None:
    step_size = getattr(solver, "step_size", 0.0)
    lacks = None if setting.problem is None else setting.problem.without("bounded")
    if not asks(step_size) or lacks is None:
        return None
    kind, part = lacks
    what = f'"{step_size}" requires a smoothness constant, which {kind} "{part}" does not have; give a number'
    return Objection("solver.step_size", what, can_be_forced=False)


def _departures(solver: Solver[Any], setting: Setting) -> Objection | None:
    if solver.needs.pace == "own" or setting.heterogeneity is None or not setting.heterogeneity.departures:
        return None
    if solver.survives and setting.virtual is not False:
        return None
    what = f"{solver.name} is synchronous and would wait forever for a node that has left; use pauses instead"
    if solver.survives:
        what = f"{solver.name} goes on without nodes that leave on virtual nodes only; use pauses, or virtual nodes"
    return Objection("cluster.stragglers.departures", what, can_be_forced=False)


def _rates(solver: Solver[Any], setting: Setting) -> Objection | None:
    if solver.needs.rates or not setting.rates:
        return None
    names = ", ".join(name for name in SOLVERS if SOLVERS[name].needs.rates)
    what = f"{solver.name} makes no steps in time slots, which operating rates are about; choose one of {names}"
    return Objection("cluster.rates", what, can_be_forced=False)


def _rowless(solver: Solver[Any], setting: Setting) -> Objection | None:
    if solver.needs.rowless or setting.hubs is None or setting.hubs.placement == "colocated":
        return None
    what = 'needs rows on every node, and dedicated hubs hold none; use placement = "colocated"'
    return Objection("cluster.hubs.placement", what, can_be_forced=False)


def _compressible(solver: Solver[Any], setting: Setting) -> Objection | None:
    compressor = getattr(solver, "compressor", None)
    refusal = None if compressor is None or setting.d is None else compressor.refuses(setting.d)
    return refusal and Objection("solver.compressor", f"compressor: {refusal}", can_be_forced=False)


def _curvature(solver: Solver[Any], setting: Setting) -> Objection | None:
    problem = setting.problem
    if not solver.needs.hessian or problem is None or problem.loss.curved or problem.strongly_convex:
        return None
    what = (
        f"{solver.name} requires a Hessian that is not singular, and without curvature for large errors that of "
        f"{problem.loss.name} may be; use lbfgs, or l2 > 0 and no intercept"
    )
    return Objection("problem.loss", what, can_be_forced=True)


def _edges(solver: Solver[Any], setting: Setting) -> Objection | None:
    topology = setting.topology
    if not solver.needs.two_way or topology is None or not topology.one_way:
        return None
    what = f"requires an undirected topology; {topology.name} is directed"
    return Objection("cluster.topology", what, can_be_forced=True)


def _compressor(solver: Solver[Any], setting: Setting) -> Objection | None:
    asked, d, compressor = solver.needs.compressor, setting.d, getattr(solver, "compressor", None)
    if asked == "any" or d is None or compressor is None:
        return None
    if asked == "exact" and not compressor.exact(d):
        what = (
            f"sends the models themselves, so the compression error of {compressor.name} does not vanish; "
            'use "identity", "nonzeros" or "f32", or a solver that sends differences (choco-sgd, '
            "compressed-gradient-tracking)"
        )
        return Objection("solver.compressor", what, can_be_forced=True)
    if compressor.contraction(d) is None:
        what = f"requires a contractive compressor; {compressor.name} with these parameters is not contractive"
        return Objection("solver.compressor", what, can_be_forced=True)
    return None


def _neighbours(solver: Solver[Any], setting: Setting) -> Objection | None:
    topology = setting.topology
    if not solver.needs.fixed_graph or topology is None or not topology.varying:
        return None
    what = f"requires a fixed topology, since it keeps sums over neighbours; {topology.name} changes the neighbours"
    return Objection("cluster.topology", what, can_be_forced=True)


def _weights(solver: Solver[Any], setting: Setting) -> Objection | None:
    asked, topology = solver.needs.weights, setting.topology
    if asked == "any" or topology is None:
        return None
    whose = f"those of {topology.name} ({topology.rule})"
    if asked == "symmetric" and not topology.symmetric:
        return Objection("cluster.topology", f"requires symmetric weights; {whose} are not", can_be_forced=True)
    if not topology.doubly_stochastic:
        what = f"requires weights whose columns sum to one; {whose} do not"
        return Objection("cluster.topology", what, can_be_forced=True)
    return None


_IMPOSSIBLE = (_purpose, _hessian, _composite, _smoothness, _departures, _rates, _rowless, _compressible)
_BEYOND_THEORY = (_curvature, _edges, _compressor, _neighbours, _weights)
