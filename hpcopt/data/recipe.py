"""Generated data: the parameters that define them, and the sources by name, each a recipe with its defaults.

| source                      | features (dense)            | w                     | y                            |
|-----------------------------|-----------------------------|-----------------------|------------------------------|
| least-squares               | rotated, exact moments      | E[(x.w)^2] = 1        | x.w + noise e                |
| logistic                    | rotated, exact moments      | E[(x.w)^2] = 1        | sign(x.w + noise e)          |
| heterogeneous-least-squares | independent, x_j ~ N(0, s_j)| N(0, I)               | x.w_k + noise e on node k    |
| linear-regression           | independent, x_j ~ N(0, s_j)| N(1, I) / sqrt(d / 2) | x.w + noise e                |
| relu-regression             | independent, x_j ~ N(0, s_j)| N(1, I) / sqrt(d / 2) | max(x.w, 0) + noise e        |
| blobs                       | x_j ~ N(m_j, noise^2 s_j)   | class means, N(0, s_j)| one of 10 classes            |

linear-regression and relu-regression are the synthetic sets of the DeLi-CoCo authors' code (Hashemi et al.,
arXiv 2011.10643), smaller; in heterogeneous-least-squares the nodes' models differ by a chosen amount. Any source
accepts any key, except that blobs have no true model that could differ from node to node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from hpcopt.annotations import AtLeastZero, Count, Factor, Whole, check_types
from hpcopt.errors import InputError

EXACT_BLOCK = 1024  # least rows per block (if there are that many); twice the number of features if dense
BLOCK = 64  # rows per block without exact moments: small, so that each of many processes has some to generate

Density = Annotated[float, Meta(gt=0, le=1)]

RECIPE_KEYS = ("features", "density", "condition", "noise", "heterogeneity")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The parameters of generated data.

    Parameters
    ----------
    targets
        "logistic" (-1/+1), "least-squares" or "relu" (real), "classes" (0 ... 9).
    design
        "unit": features of exact second moments in a random basis, w with E[(x.w)^2] = 1; "normal": independent
        normal features, w ~ N(0, I); "shifted": the same with w ~ N(1, I) / sqrt(d / 2); "blobs": features around
        the mean of their class, scaled so that E ||x||^2 = 4.
    rows, features
        Shape of the data, each at least 1.
    density
        Fraction of entries that are stored, in (0, 1]; 1 gives dense rows, less gives CSR.
    condition
        Largest over smallest eigenvalue of the second moment of the rows, at least 1.
    noise
        Scale of the errors, at least 0.
    heterogeneity
        Standard deviation of an entry of w between nodes, relative to that of the entries of w, at least 0.
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        For a value out of range, with the key of the specification.
    """

    targets: Literal["logistic", "least-squares", "relu", "classes"]
    design: Literal["unit", "normal", "shifted", "blobs"] = "unit"
    rows: Count = 1000
    features: Count = 20
    density: Density = 1.0
    condition: Factor = 10.0
    noise: AtLeastZero = 0.1
    heterogeneity: AtLeastZero = 0.0
    seed: Whole = 0

    def __post_init__(self) -> None:
        check_types(self)
        if self.design == "blobs" and self.heterogeneity:
            raise InputError("heterogeneity: blobs have no true model that could differ between nodes; set 0")

    @property
    def spectrum(self) -> NDArray[np.float64]:
        """Eigenvalues s of the second moment, (features,), from 1 down to 1/condition."""
        return np.geomspace(1.0, 1.0 / self.condition, self.features)

    @property
    def rotated(self) -> bool:
        """Whether the rows are dense, in a random basis, and have exact second moments."""
        return self.design == "unit" and self.density == 1

    @property
    def blocks(self) -> int:
        """Number of blocks; if rotated, each has at least as many rows as features, unless there is only one."""
        smallest = EXACT_BLOCK if self.design == "unit" else BLOCK
        if self.rotated:
            smallest = max(smallest, 2 * self.features)
        return max(1, self.rows // smallest)


_RELU_REGRESSION = Recipe(targets="relu", design="shifted", rows=2000, features=200, condition=1.0, noise=0.05)

RECIPES = {
    "logistic": Recipe(targets="logistic"),
    "least-squares": Recipe(targets="least-squares"),
    "heterogeneous-least-squares": Recipe(
        targets="least-squares", design="normal", rows=1280, features=64, condition=5.0, heterogeneity=0.3
    ),
    "linear-regression": replace(_RELU_REGRESSION, targets="least-squares"),
    "relu-regression": _RELU_REGRESSION,
    "blobs": Recipe(targets="classes", design="blobs", rows=20480, features=32, condition=1.0, noise=2.0),
}
"""The generated sources by name; the numbers are the defaults of the keys of a specification."""
