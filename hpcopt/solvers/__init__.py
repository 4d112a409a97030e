"""Solvers: one file an algorithm, each reading like the listing of its paper.

A file in this room that registers a class is a solver: importing the room imports them all.
"""

import importlib
import pkgutil

from hpcopt.solvers.base import SOLVERS, Solver, State

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["SOLVERS", "Solver", "State"]
