"""Penalties by name: functions of the weights that are added to the mean loss.

Each file in this package that registers a class is a penalty; importing the package imports them all.
"""

import importlib
import pkgutil

from hpcopt.problems.penalties.base import PENALTIES, Penalty

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["PENALTIES", "Penalty"]
