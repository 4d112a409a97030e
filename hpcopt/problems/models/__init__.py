"""Models by name: the map from a row to outputs, the meaning of a solver's vector, and the oracle.

A file in this package that registers a class is a model family; importing the package imports them all. A *trained*
model, the output of a run, is one member of a family (`hpcopt.models`).
"""

import importlib
import pkgutil

from hpcopt.problems.models.base import MODELS, Affine, ModelFamily, SizedModel

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["MODELS", "Affine", "ModelFamily", "SizedModel"]
