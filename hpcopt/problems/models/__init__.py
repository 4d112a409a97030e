"""Models by name: the map from a row to outputs, the meaning of a solver's vector, and the oracle.

A file in this folder that registers a class is a model family: importing the folder imports them all. A *trained*
model, which a run leaves behind, is one member of a family (`hpcopt.models`).
"""

import importlib
import pkgutil

from hpcopt.problems.models.base import MODELS, Affine, ModelFamily, SizedModel

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["MODELS", "Affine", "ModelFamily", "SizedModel"]
