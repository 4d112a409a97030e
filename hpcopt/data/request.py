"""What data a person asks for: the [data] table of a specification, checked as far as it can be without the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpcopt.data.features import SCALES
from hpcopt.data.labels import ChosenClasses
from hpcopt.data.partition import RULES
from hpcopt.data.recipe import RECIPE_KEYS, RECIPES
from hpcopt.errors import InputError
from hpcopt.problems.targets import Targets
from hpcopt.registry import nearest

EMBEDDED = ("breast-cancer", "digits")
GENERATED = tuple(RECIPES)
SOURCES = (*EMBEDDED, *GENERATED)

__all__ = ["GENERATED", "RECIPE_KEYS", "SOURCES", "DataRequest", "default_partition"]  # what the other rooms use


def default_partition(source: str | None, heterogeneity: float | None) -> str:
    """Return "contiguous" for rows made to differ from node to node, which another order would mix; else "shuffled"."""
    made_for_nodes = source in RECIPES and RECIPES[source].heterogeneity > 0
    return "contiguous" if made_for_nodes or heterogeneity else "shuffled"


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """Which data, and how they are prepared; exactly one of `path` and `source`.

    Parameters
    ----------
    path
        A file: `.npz`, `.npy`, IDX (known by its first bytes), or LIBSVM text; the last two plain or `.gz`, `.bz2`,
        `.xz`.
    labels
        The file with the labels of an IDX file; default: the one beside it, see `idx.labels_beside`.
    source
        One of `SOURCES`.
    test, test_labels
        A file with test rows, and the one with their labels if it is IDX.
    test_fraction
        Or: the fraction of the rows to test on, in [0, 1).
    partition, alpha, fractions, labels_per_node
        See `partition.assign`; default `default_partition`.
    rows
        How many rows to generate, or how many first rows of the files to use; default all.
    features, density, condition, noise, heterogeneity
        Of generated data; see `recipe.Recipe`, and `recipe.RECIPES` for the defaults (and that of `rows`).
    seed
        Of the generated rows, the split and the partition.
    scale
        "none", "standard", "max-abs" or "global-max-abs"; see `features.fit_scaling`.
    classes
        Two groups of classes to tell apart.
    targets
        What the loss wants the labels to become.

    Raises
    ------
    InputError
        For an unknown name, a number out of range, or keys that exclude one another.
    """

    path: str | None = None
    labels: str | None = None
    source: str | None = None
    test: str | None = None
    test_labels: str | None = None
    test_fraction: float = 0.0
    partition: str | None = None
    alpha: float | None = None
    fractions: Sequence[float] | None = None
    labels_per_node: int | None = None
    rows: int | None = None
    features: int | None = None
    density: float | None = None
    condition: float | None = None
    noise: float | None = None
    heterogeneity: float | None = None
    seed: int = 0
    scale: str = "none"
    classes: ChosenClasses | None = None
    targets: Targets = Targets.SIGNS

    def __post_init__(self) -> None:
        if (self.path is None) == (self.source is None):
            given = "neither" if self.path is None else "both"
            raise InputError(f"data: exactly one of data.path and data.source, got {given}")
        if self.source is not None:
            _known("source", self.source, SOURCES)
        for key, files in (("labels", "path"), ("test_labels", "test")):
            if getattr(self, key) is not None and getattr(self, files) is None:
                raise InputError(f"data.{key}: given without data.{files}, the file that they are the labels of")
        _known("partition", self.rule, RULES)
        _known("scale", self.scale, SCALES)
        if self.rows is not None and self.rows < 1:
            raise InputError(f"data.rows: at least 1, got {self.rows}")
        if not 0 <= self.test_fraction < 1:
            raise InputError(f"data.test_fraction: at least 0 and below 1, got {self.test_fraction}")
        if self.test is not None and self.test_fraction > 0:
            raise InputError("data: at most one of data.test and data.test_fraction, got both")
        self._check_recipe()

    def _check_recipe(self) -> None:
        """Refuse the keys of a recipe where nothing is generated, and a test set that would shift the nodes' rows."""
        misplaced = [key for key in RECIPE_KEYS if getattr(self, key) is not None]
        if misplaced and self.source not in GENERATED:
            raise InputError(f"data.{misplaced[0]}: only for generated data (data.source = {', '.join(GENERATED)})")
        if self.source not in GENERATED:
            return
        differ = RECIPES[self.source].heterogeneity if self.heterogeneity is None else self.heterogeneity
        if differ > 0 and self.rule == "contiguous" and self.test_fraction > 0:
            raise InputError(
                "data.test_fraction: what is kept aside would shift the other rows to nodes they were not made for; "
                'give 0, or data.partition = "shuffled"'
            )

    @property
    def rule(self) -> str:
        """The partition asked for, or that of the data."""
        return self.partition or default_partition(self.source, self.heterogeneity)

    @property
    def name(self) -> str:
        """What the data are called: the source, or the file's name."""
        return self.source or (self.path or "").rpartition("/")[2]


def _known(key: str, name: str, known: Sequence[str]) -> None:
    """Refuse a name that isn't one of the known ones."""
    if name not in known:
        raise InputError(f"data.{key}: unknown '{name}'{nearest(name, known)} (known: {', '.join(known)})")
