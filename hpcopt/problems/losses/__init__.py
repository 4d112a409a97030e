"""Losses by name: functions of a row's outputs and its target, and their properties.

Each file in this package that registers a class is a loss; importing the package imports them all. A loss's class
declares the targets that it requires and the number of outputs per row; a model declares the losses that it supports.
"""

import importlib
import pkgutil

from hpcopt.problems.losses.base import LOSSES, Loss, MarginLoss, OutputLoss

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["LOSSES", "Loss", "MarginLoss", "OutputLoss"]
