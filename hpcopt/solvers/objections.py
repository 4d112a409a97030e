"""Who refuses a solver: the one function that compares what it needs with the setting it is to run in.

Whoever tells a person (the specification before anything is read, a run before and after the data are)
asks here, with what is known by then.
"""

from __future__ import annotations

from typing import Any

from hpcopt.solvers.base import SOLVERS, Solver
from hpcopt.solvers.needs import Objection, Setting
from hpcopt.solvers.parts.step_size import asks


def objections(solver: Solver[Any], setting: Setting) -> list[Objection]:
    """Return what speaks against `solver` in `setting`: first what nobody can insist on, then what goes beyond theory.

    An empty list: nothing that is known so far. With more of the setting known there may be more. Theory is asked only
    of what could run: a compressor that cannot take the model, say, has no variance to judge.
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
    return Objection("solver.name", "minimises nothing; take another (see: hpcopt list solvers)", can_be_forced=False)


def _hessian(solver: Solver[Any], setting: Setting) -> Objection | None:
    lacks = None if setting.problem is None else setting.problem.without("hessian")
    if not solver.needs.hessian or lacks is None:
        return None
    kind, part = lacks
    names = ", ".join(name for name in SOLVERS if SOLVERS[name].minimises and not SOLVERS[name].needs.hessian)
    what = f'{solver.name} needs second derivatives, and {kind} "{part}" gives none; take one of {names}'
    return Objection("solver.name", what, can_be_forced=False)


def _smoothness(solver: Solver[Any], setting: Setting) -> Objection | None:
    step_size = getattr(solver, "step_size", 0.0)
    lacks = None if setting.problem is None else setting.problem.without("bounded")
    if not asks(step_size) or lacks is None:
        return None
    kind, part = lacks
    what = f'"{step_size}" needs a smoothness constant, and {kind} "{part}" has none; give a number'
    return Objection("solver.step_size", what, can_be_forced=False)


def _departures(solver: Solver[Any], setting: Setting) -> Objection | None:
    if solver.needs.pace == "own" or setting.heterogeneity is None or not setting.heterogeneity.departures:
        return None
    what = f"{solver.name} is synchronous: all others would wait for a node that has left; try pauses instead"
    return Objection("cluster.stragglers.departures", what, can_be_forced=False)


def _compressible(solver: Solver[Any], setting: Setting) -> Objection | None:
    compressor = getattr(solver, "compressor", None)
    refusal = None if compressor is None or setting.d is None else compressor.refuses(setting.d)
    return refusal and Objection("solver.compressor", f"compressor: {refusal}", can_be_forced=False)


def _edges(solver: Solver[Any], setting: Setting) -> Objection | None:
    network = setting.network
    if not solver.needs.two_way or network is None or not network.one_way:
        return None
    what = f"averages over edges that go both ways; those of {network.name} are one-way"
    return Objection("cluster.topology", what, can_be_forced=True)


def _compressor(solver: Solver[Any], setting: Setting) -> Objection | None:
    asked, d, compressor = solver.needs.compressor, setting.d, getattr(solver, "compressor", None)
    if asked == "any" or d is None or compressor is None:
        return None
    if asked == "exact" and not compressor.exact(d):
        what = (
            f"sends the models themselves, so what {compressor.name} loses stays as noise; "
            'take "identity" or "f32", or a solver that sends differences (choco-sgd, compressed-gradient-tracking)'
        )
        return Objection("solver.compressor", what, can_be_forced=True)
    if compressor.contraction(d) is None:
        what = f"needs a compressor that contracts, and {compressor.name} as set here may lose more than it was given"
        return Objection("solver.compressor", what, can_be_forced=True)
    return None


def _neighbours(solver: Solver[Any], setting: Setting) -> Objection | None:
    network = setting.network
    if not solver.needs.fixed_graph or network is None or not network.varying:
        return None
    what = f"keeps sums over neighbours, so its neighbours may not change; {network.name} changes them"
    return Objection("cluster.topology", what, can_be_forced=True)


def _weights(solver: Solver[Any], setting: Setting) -> Objection | None:
    asked, network = solver.needs.weights, setting.network
    if asked == "any" or network is None:
        return None
    whose = f"those of {network.name} ({network.rule})"
    if asked == "symmetric" and not network.symmetric:
        return Objection("cluster.topology", f"needs symmetric weights; {whose} are not", can_be_forced=True)
    if not network.doubly_stochastic:
        what = f"needs weights whose columns sum to one; {whose} do not"
        return Objection("cluster.topology", what, can_be_forced=True)
    return None


_IMPOSSIBLE = (_purpose, _hessian, _smoothness, _departures, _compressible)
_BEYOND_THEORY = (_edges, _compressor, _neighbours, _weights)
