"""What data a person asks for: the table [data] of a specification, checked as far as it can be without the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hpcopt.annotations import AtLeastZero, Count, Factor, Positive, Whole, check_types, fill, named, no_such
from hpcopt.data.features import Scale
from hpcopt.data.idx import named_as_labels
from hpcopt.data.labels import ChosenClasses
from hpcopt.data.partition import Rule
from hpcopt.data.recipe import RECIPE_KEYS, RECIPES, Density, Recipe
from hpcopt.errors import InputError

EMBEDDED = ("breast-cancer", "digits")
GENERATED = tuple(RECIPES)
ARRAYS = "arrays"
SOURCES = (*EMBEDDED, *GENERATED, ARRAYS)
FILES = ("path", "test", "labels", "test_labels")  # the keys that name one


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """Where the rows come from, and how they are prepared and spread over the nodes.

    Parameters
    ----------
    path
        A file: `.npz`, `.npy`, IDX (known by its first bytes), or LIBSVM text; the last two plain or `.gz`, `.bz2`,
        `.xz`. Either this or `source` is needed.
    source
        Data that need no file:

        - "breast-cancer": Wisconsin diagnoses, 569 rows of 30 features, labels 0 (malignant) and 1; of scikit-learn
        - "digits": handwritten digits of 8 x 8 pixels, 1,797 rows of 64 features, labels 0 to 9; of scikit-learn
        - "logistic": generated, two classes by a noisy linear rule
        - "least-squares": generated, real targets that are linear in the features, plus noise
        - "heterogeneous-least-squares": the same with a linear rule of each node's own
        - "linear-regression": generated as in the DeLi-CoCo authors' code, linear targets
        - "relu-regression": the same with rectified targets, for loss = "relu"
        - "blobs": generated, ten classes around means of their own
        - "arrays": rows that a Python program hands over: run(..., rows=from_arrays(X, y))
    labels
        The file with the labels of the IDX file `path`; default: the one beside it, named as MNIST's are.
    test
        A file of test rows, beside `path`.
    test_labels
        The file with the labels of the IDX file `test`.
    test_fraction
        The part of the rows that is kept aside for testing; not together with `test`.
    partition
        How rows are given to nodes. Default: "shuffled", but "contiguous" for generated rows that differ from node to
        node, which another order would mix.

        - "shuffled": equal runs of a random order, so that shards are alike
        - "contiguous": equal runs of the file's order
        - "by-label": equal runs of the order of labels, the most heterogeneous shards; or, with `labels_per_node`,
          equal shards of so many labels each
        - "dirichlet": each class divided in random proportions; the smaller `alpha`, the more heterogeneous the shards
        - "unequal": runs of a random order, in proportion to `fractions`
    alpha
        The parameter of "dirichlet", which needs it.
    fractions
        The relative sizes of the shards of "unequal", one a node, which needs them.
    labels_per_node
        How many labels a node's rows have; with "by-label".
    zero_based
        Whether the columns of text files count from 0, or from 1; default: from 0 where any of them has a column 0.
    rows
        Of generated data: how many; of a file or embedded data: only the first so many.
    features, density, condition, noise, heterogeneity
        Of generated data, as `rows`: the number of features; the part of the entries that is stored, in (0, 1]; the
        largest over the smallest eigenvalue of the features' second moment; the size of the errors; how much the linear
        rule differs from node to node. Defaults depend on the source, and `run.json` has them filled in.
    seed
        Of generated rows, the split and the partition; in a specification the run's by default.
    scale
        Scaling of the features, measured on the training rows.

        - "none": as they are
        - "standard": to mean 0 and deviation 1; not for sparse rows
        - "max-abs": each divided by its largest magnitude
        - "global-max-abs": all divided by the largest magnitude of all
    storage
        "f64" (eight bytes an entry) or "f32" (four); default: as the file has it, text as "f64".
    classes
        Which labels to tell apart, where the data have others or more than two: { positive = [...], negative = [...] }.

    Raises
    ------
    InputError
        For a value of a wrong type or out of range, an unknown name, or keys that exclude one another.
    """

    path: str | None = None
    labels: str | None = None
    source: Annotated[str, named(SOURCES)] | None = None
    test: str | None = None
    test_labels: str | None = None
    test_fraction: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    partition: Rule | None = None
    alpha: Positive | None = None
    fractions: Annotated[tuple[Positive, ...], Meta(min_length=1)] | None = None
    labels_per_node: Count | None = None
    zero_based: bool | None = None
    rows: Count | None = None
    features: Count | None = None
    density: Density | None = None
    condition: Factor | None = None
    noise: AtLeastZero | None = None
    heterogeneity: AtLeastZero | None = None
    seed: Whole = 0
    scale: Scale = "none"
    storage: Literal["f64", "f32"] | None = None
    classes: ChosenClasses | None = None

    def __post_init__(self) -> None:
        check_types(self)
        self._check_origin()
        self._fill()
        if self.test is not None and self.source is not None:
            raise InputError("test: goes with path; with source use test_fraction")
        if self.test is not None and self.test_fraction:
            raise InputError("test_fraction: given together with test; keep one of the two")
        for key, files in (("labels", "path"), ("test_labels", "test")):
            if getattr(self, key) is not None and getattr(self, files) is None:
                raise InputError(f"{key}: goes with {files}, the IDX file that they are the labels of")
        self._check_partition()

    def _check_origin(self) -> None:
        if self.path is None and self.source is None:
            raise InputError('missing; [data] needs path = "a file" or source = "embedded or generated data"')
        if self.path is not None and self.source is not None:
            raise InputError("source: given together with path; keep one of the two")
        if self.source is not None and self.source not in SOURCES:
            raise InputError(f"source: {no_such(self.source, SOURCES)}")
        if self.zero_based is not None and self.path is None:
            raise InputError("zero_based: only text files take it (path = ...)")
        for key in RECIPE_KEYS:
            if getattr(self, key) is not None and self.source not in GENERATED:
                raise InputError(f"{key}: only generated data take it (source = {', '.join(GENERATED)})")

    def _fill(self) -> None:
        """Give the keys whose defaults hang on the source their values, so that the resolved table tells them."""
        fill(self, partition=self.rule)
        if self.source in RECIPES:
            fill(self, **{key: getattr(self.recipe, key) for key in ("rows", *RECIPE_KEYS)})

    def _check_partition(self) -> None:
        keys = {"dirichlet": "alpha", "unequal": "fractions", "by-label": "labels_per_node"}
        for partition, key in keys.items():
            given = getattr(self, key) is not None
            if given and self.partition != partition:
                raise InputError(f'{key}: only partition = "{partition}" takes it, partition is "{self.partition}"')
            if not given and self.partition == partition and key != "labels_per_node":
                raise InputError(f'{key}: missing; partition = "{partition}" needs it')
        if self.heterogeneity and self.partition == "contiguous" and self.test_fraction > 0:
            raise InputError(
                "test_fraction: what is kept aside would shift the other rows to nodes they were not made for; "
                'give 0, or data.partition = "shuffled"'
            )

    def located(self, where: Callable[[str], str]) -> DataRequest:
        """Return the request with every file named as `where` tells it, given its name."""
        given: dict[str, Any] = {key: where(getattr(self, key)) for key in FILES if getattr(self, key) is not None}
        return replace(self, **given)

    @property
    def files(self) -> list[Path]:
        """The files that may be read, those of labels that stand beside IDX files included."""
        named = [Path(name) for key in FILES if (name := getattr(self, key)) is not None]
        return [*named, *(named_as_labels(path) for path in named if path.name)]

    @property
    def rule(self) -> Rule:
        """The partition: the one asked for, or that of the data."""
        made_for_nodes = self.source in RECIPES and RECIPES[self.source].heterogeneity > 0
        return self.partition or ("contiguous" if made_for_nodes or self.heterogeneity else "shuffled")

    @property
    def recipe(self) -> Recipe:
        """What to generate, where the source is generated: its defaults, and what is asked for instead."""
        given = {key: getattr(self, key) for key in ("rows", *RECIPE_KEYS) if getattr(self, key) is not None}
        return replace(RECIPES[self.source or ""], seed=self.seed, **given)

    @property
    def name(self) -> str:
        """What the data are called: the source, or the file's name."""
        return self.source or (self.path or "").rpartition("/")[2]
