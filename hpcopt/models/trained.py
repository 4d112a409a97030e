"""From a solver's final vector to a trained model for the user's original data.

Scaling done for the solver is folded into the first coefficients, so that `coef` applies to the original features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.arrays import Vector
from hpcopt.data import Loaded
from hpcopt.models.model import Model
from hpcopt.problems.models import Affine
from hpcopt.problems.problem import Problem
from hpcopt.problems.targets import Targets

Coefficients = NDArray[np.float64]


def trained(problem: Problem, loaded: Loaded, w: Vector, meta: dict[str, Any]) -> Model:
    """Return the model given by the solver's vector `w`, for the features before scaling.

    Parameters
    ----------
    loaded
        The data, for their classes and scaling.
    meta
        See `Model`.
    """
    first, *others = problem.model.layers(w)
    *hidden, (coef, intercept) = _of_the_data(first, loaded), *others
    many = problem.formulation.loss.targets is Targets.CLASSES
    return Model(
        coef=coef if many else coef[0],
        intercept=intercept if many else float(intercept[0]),
        loss=problem.formulation.loss.name,
        classes=loaded.classes,
        meta=meta,
        hidden=tuple(hidden),
        activation=problem.model.activation,
        family=problem.formulation.model.name,
    )


def unscaled(
    w: Coefficients, intercept: Vector, shift: Vector | None, scale: Vector | None
) -> tuple[Coefficients, Vector]:
    """Return coefficients (k, d) and intercepts (k,) for the original features x.

    Parameters
    ----------
    w, intercept
        For the solver's features (x - shift) / scale: shapes (k, d) and (k,).
    shift, scale
        Shape (d,); None stands for zeros and for ones.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # `Model` raises an error for values that are not finite
        coef = w.copy() if scale is None else w / scale
        return coef, intercept if shift is None else intercept - coef @ shift


def _of_the_data(layer: Affine, loaded: Loaded) -> Affine:
    if loaded.scaling is None:
        return layer
    return Affine(*unscaled(*layer, loaded.scaling.shift, loaded.scaling.scale))
