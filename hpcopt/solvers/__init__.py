"""Solvers: one file per algorithm, each reading like the listing of its paper.

A file in this package that registers a class is a solver; importing the package imports them all.
"""

import importlib
import pkgutil

from hpcopt.solvers.base import SOLVERS, Solver, State

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["SOLVERS", "Solver", "State"]
