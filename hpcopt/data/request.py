"""The table [data] of a specification, checked as far as possible without the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hpcopt.annotations import AtLeastZero, Count, Factor, Positive, Whole, check_types, fill, named, no_such
from hpcopt.data.features import Scale
from hpcopt.data.hashed import HashBits
from hpcopt.data.idx import named_as_labels
from hpcopt.data.labels import ChosenClasses
from hpcopt.data.partition import Rule
from hpcopt.data.recipe import RECIPE_KEYS, RECIPES, Density, Recipe
from hpcopt.errors import InputError

EMBEDDED = ("breast-cancer", "digits")
GENERATED = tuple(RECIPES)
ARRAYS = "arrays"
SOURCES = (*EMBEDDED, *GENERATED, ARRAYS)
FILES = ("path", "test", "labels", "test_labels")  # keys that name a file


@dataclass(frozen=True, kw_only=True)
class DataRequest:
    """The source of the rows, their preparation, and their distribution over the nodes.

    Parameters
    ----------
    path
        A file: `.npz`, `.npy`, IDX (known by its first bytes), or LIBSVM text; the last two plain or `.gz`, `.bz2`,
        `.xz`. Either this or `source` is required.
    source
        Data without a file:

        - "breast-cancer": Wisconsin diagnoses, 569 rows of 30 features, labels 0 (malignant) and 1; from scikit-learn
        - "digits": handwritten digits of 8 x 8 pixels, 1,797 rows of 64 features, labels 0 to 9; from scikit-learn
        - "logistic": generated, two classes from a noisy linear model
        - "least-squares": generated, real targets that are linear in the features, plus noise
        - "heterogeneous-least-squares": the same with a different linear model on each node
        - "linear-regression": generated as in the DeLi-CoCo authors' code, linear targets
        - "relu-regression": the same with rectified targets, for loss = "relu"
        - "blobs": generated, ten classes, each around its own mean
        - "arrays": rows passed from Python: run(..., rows=from_arrays(X, y))
    labels
        The file with the labels of the IDX file `path`; default: the one beside it, named as in MNIST.
    test
        A file of test rows, in addition to `path`.
    test_labels
        The file with the labels of the IDX file `test`.
    test_fraction
        The fraction of the rows that is held out for testing; not together with `test`.
    partition
        The assignment of rows to nodes. Default: "shuffled", but "contiguous" for generated rows that differ from node
        to node, which another order would mix.

        - "shuffled": random shards of equal size, which are homogeneous
        - "contiguous": shards of equal size in the order of the file
        - "by-label": shards of equal size of the rows sorted by label, the most heterogeneous ones; or, with
          `labels_per_node`, shards of equal size with that number of labels each
        - "dirichlet": each class divided in random proportions; the smaller `alpha`, the more heterogeneous the shards
        - "unequal": random shards with sizes in proportion to `fractions`
    alpha
        The parameter of "dirichlet"; required there.
    fractions
        The relative sizes of the shards of "unequal", one per node; required there.
    labels_per_node
        The number of labels on each node, with "by-label".
    zero_based
        Whether the columns of text files count from 0, or from 1; default: from 0 if any of them has a column 0.
    hash_bits
        For LIBSVM text with any features, by number or by name: each is hashed, with a sign, into one of 2**hash_bits
        columns, 1 <= hash_bits <= 30.
    rows
        The number of generated rows; of a file or embedded data, the number of first rows to use.
    features, density, condition, noise, heterogeneity
        For generated data: the number of features; the fraction of entries that is stored, in (0, 1]; the condition
        number of the features' second moment; the noise of the targets; the difference between the nodes' linear
        models. The defaults depend on the source; `run.json` shows them.
    seed
        Seed of the generated rows, of the split into training and test rows, and of the partition; in a specification
        the default is the run's seed.
    scale
        Scaling of the features, measured on the training rows.

        - "none": no scaling
        - "standard": to mean 0 and deviation 1; not for sparse rows
        - "max-abs": each divided by its largest magnitude
        - "global-max-abs": all divided by the largest magnitude of all
    storage
        "f64" (eight bytes per entry) or "f32" (four); default: as in the file; text as "f64".
    classes
        The labels of the two classes, if the data have more than two labels: { positive = [...], negative = [...] }.

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
    hash_bits: HashBits | None = None
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
            raise InputError("test: requires path; with source use test_fraction")
        if self.test is not None and self.test_fraction:
            raise InputError("test_fraction: given together with test; remove one of the two")
        for key, files in (("labels", "path"), ("test_labels", "test")):
            if getattr(self, key) is not None and getattr(self, files) is None:
                raise InputError(f"{key}: requires {files}, the IDX file that the labels belong to")
        self._check_partition()

    def _check_origin(self) -> None:
        if self.path is None and self.source is None:
            raise InputError('missing; [data] requires path = "a file" or source = "embedded or generated data"')
        if self.path is not None and self.source is not None:
            raise InputError("source: given together with path; remove one of the two")
        if self.source is not None and self.source not in SOURCES:
            raise InputError(f"source: {no_such(self.source, SOURCES)}")
        for key in ("zero_based", "hash_bits"):
            if getattr(self, key) is not None and self.path is None:
                raise InputError(f"{key}: only used with text files (path = ...)")
        if self.zero_based is not None and self.hash_bits is not None:
            raise InputError("zero_based: given together with hash_bits, which hashes column numbers like names")
        for key in RECIPE_KEYS:
            if getattr(self, key) is not None and self.source not in GENERATED:
                raise InputError(f"{key}: only used with generated data (source = {', '.join(GENERATED)})")

    def _fill(self) -> None:
        """Set the keys whose defaults depend on the source, so that the resolved table contains them."""
        fill(self, partition=self.rule)
        if self.source in RECIPES:
            fill(self, **{key: getattr(self.recipe, key) for key in ("rows", *RECIPE_KEYS)})

    def _check_partition(self) -> None:
        keys = {"dirichlet": "alpha", "unequal": "fractions", "by-label": "labels_per_node"}
        for partition, key in keys.items():
            given = getattr(self, key) is not None
            if given and self.partition != partition:
                raise InputError(f'{key}: requires partition = "{partition}"; partition is "{self.partition}"')
            if not given and self.partition == partition and key != "labels_per_node":
                raise InputError(f'{key}: missing; partition = "{partition}" needs it')
        if self.heterogeneity and self.partition == "contiguous" and self.test_fraction > 0:
            raise InputError(
                "test_fraction: a test set would move rows to other nodes than they were generated for; "
                'give 0, or data.partition = "shuffled"'
            )

    def located(self, where: Callable[[str], str]) -> DataRequest:
        """Return the request with every file name mapped by `where`."""
        given: dict[str, Any] = {key: where(getattr(self, key)) for key in FILES if getattr(self, key) is not None}
        return replace(self, **given)

    @property
    def files(self) -> list[Path]:
        """The files that may be read, including labels' files next to IDX files."""
        named = [Path(name) for key in FILES if (name := getattr(self, key)) is not None]
        return [*named, *(named_as_labels(path) for path in named if path.name)]

    @property
    def rule(self) -> Rule:
        """The partition: the requested one, or the default for the data."""
        made_for_nodes = self.source in RECIPES and RECIPES[self.source].heterogeneity > 0
        return self.partition or ("contiguous" if made_for_nodes or self.heterogeneity else "shuffled")

    @property
    def recipe(self) -> Recipe:
        """The recipe of a generated source: its defaults, replaced by the given keys."""
        given = {key: getattr(self, key) for key in ("rows", *RECIPE_KEYS) if getattr(self, key) is not None}
        return replace(RECIPES[self.source or ""], seed=self.seed, **given)

    @property
    def name(self) -> str:
        """The name of the data: the source, or the file's name."""
        return self.source or (self.path or "").rpartition("/")[2]
