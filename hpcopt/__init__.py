"""hpcopt: communication-efficient distributed optimisers, MPI-native.

    import hpcopt
    run = hpcopt.run("spec.toml")      # or a dict; comm=None takes all ranks of the job
    run.result["objective"], run.trace["objective"], run.model.coef
    again = hpcopt.load("runs/spec")   # the same from its folder; also comparisons

The objective is the mean loss over all rows plus a penalty, by default (l2/2)||w||^2. Everything else is imported when
it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hpcopt.version import __version__

if TYPE_CHECKING:
    from hpcopt.errors import InputError
    from hpcopt.models.model import Model
    from hpcopt.runs.finished import Run
    from hpcopt.runs.start import run
    from hpcopt.studies.compare import compare
    from hpcopt.studies.comparison import Comparison
    from hpcopt.studies.figure import figure
    from hpcopt.studies.load import load

__all__ = ["Comparison", "InputError", "Model", "Run", "__version__", "compare", "figure", "load", "run"]

_HOMES = {
    "Comparison": "hpcopt.studies.comparison",
    "InputError": "hpcopt.errors",
    "Model": "hpcopt.models.model",
    "Run": "hpcopt.runs.finished",
    "run": "hpcopt.runs.start",
    "compare": "hpcopt.studies.compare",
    "figure": "hpcopt.studies.figure",
    "load": "hpcopt.studies.load",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a rank loads only what it needs."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hpcopt' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
