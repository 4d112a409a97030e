"""Losses by name: functions of a row's outputs and its target, and what a solver may assume of them.

Each file in this folder that registers a class is a loss: importing the folder imports them all. The targets that a
loss requires, and the number of outputs of a row, are data on its class; a model declares the losses it supports.
"""

import importlib
import pkgutil

from hpcopt.problems.losses.base import LOSSES, Loss, MarginLoss, OutputLoss

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["LOSSES", "Loss", "MarginLoss", "OutputLoss"]
