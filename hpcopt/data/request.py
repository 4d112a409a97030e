"""What data a person asks for: the [data] table of a specification, checked as far as it can be without the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpcopt.data.features import SCALES
from hpcopt.data.labels import ChosenClasses
from hpcopt.data.partition import RULES
from hpcopt.errors import InputError
from hpcopt.registry import nearest

EMBEDDED = ("breast-cancer", "digits")
GENERATED = ("logistic", "least-squares")
SOURCES = (*EMBEDDED, *GENERATED)
RECIPE_KEYS = ("features", "density", "condition", "noise")


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """Which data, and how they are prepared; exactly one of `path` and `source`.

    Parameters
    ----------
    path
        A file: `.npz`, `.npy`, or LIBSVM text (any other name), plain or `.gz`, `.bz2`, `.xz`.
    source
        One of `SOURCES`.
    test
        A file with test rows.
    test_fraction
        Or: the fraction of the rows to test on, in [0, 1).
    partition, alpha, fractions
        See `partition.assign`.
    rows
        How many rows to generate, or how many first rows of the files to use; default all (generated: 1000).
    features, density, condition, noise
        Of generated data; see `synthesis.Recipe`, which has the defaults.
    seed
        Of the generated rows, the split and the partition.
    scale
        "none", "standard" or "max-abs"; see `features.fit_scaling`.
    classes
        Two groups of classes to tell apart.
    binary
        Whether the loss needs labels of two values.

    Raises
    ------
    InputError
        For an unknown name, a number out of range, or keys that exclude one another.
    """

    path: str | None = None
    source: str | None = None
    test: str | None = None
    test_fraction: float = 0.0
    partition: str = "shuffled"
    alpha: float | None = None
    fractions: Sequence[float] | None = None
    rows: int | None = None
    features: int | None = None
    density: float | None = None
    condition: float | None = None
    noise: float | None = None
    seed: int = 0
    scale: str = "none"
    classes: ChosenClasses | None = None
    binary: bool = True

    def __post_init__(self) -> None:
        if (self.path is None) == (self.source is None):
            given = "neither" if self.path is None else "both"
            raise InputError(f"data: exactly one of data.path and data.source, got {given}")
        if self.source is not None:
            _known("source", self.source, SOURCES)
        _known("partition", self.partition, RULES)
        _known("scale", self.scale, SCALES)
        if self.rows is not None and self.rows < 1:
            raise InputError(f"data.rows: at least 1, got {self.rows}")
        if not 0 <= self.test_fraction < 1:
            raise InputError(f"data.test_fraction: at least 0 and below 1, got {self.test_fraction}")
        if self.test is not None and self.test_fraction > 0:
            raise InputError("data: at most one of data.test and data.test_fraction, got both")
        misplaced = [key for key in RECIPE_KEYS if getattr(self, key) is not None]
        if misplaced and self.source not in GENERATED:
            raise InputError(f"data.{misplaced[0]}: only for generated data (data.source = {' or '.join(GENERATED)})")

    @property
    def name(self) -> str:
        """What the data are called: the source, or the file's name."""
        return self.source or (self.path or "").rpartition("/")[2]


def _known(key: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that isn't one of the known ones."""
    if name not in known:
        raise InputError(f"data.{key}: unknown '{name}'{nearest(name, known)} (known: {', '.join(known)})")
