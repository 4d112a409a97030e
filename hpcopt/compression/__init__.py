"""Compressors: encode a vector to packed bytes, and decode it; each declares bounds on its error.

Each file in this package that registers a class is a compressor; importing the package imports them all.
"""

import importlib
import pkgutil

from hpcopt.compression.base import COMPRESSORS, Compressor, Message, NotFiniteError

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["COMPRESSORS", "Compressor", "Message", "NotFiniteError"]
