"""Losses by name: what a row's outputs cost, beside its target, and what a solver may assume of that.

A file in this folder that registers a class is a loss: importing the folder imports them all. Which targets a loss
wants, and for how many outputs of a row, is data on its class; what it can be had with, a model says.
"""

import importlib
import pkgutil

from hpcopt.problems.losses.base import LOSSES, Loss, MarginLoss, OutputLoss

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["LOSSES", "Loss", "MarginLoss", "OutputLoss"]
