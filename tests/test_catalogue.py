"""`hpcopt list` and `hpcopt show`: every key and name in specifications, read from its declaration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from hpcopt.annotations import named
from hpcopt.cli.describe import OF_STUDIES
from hpcopt.cli.main import main
from hpcopt.spec.catalogue import REGISTRIES, all_keys, table_keys, tables

KEYS = all_keys(more=OF_STUDIES)
NAMES = {
    *tables(OF_STUDIES),
    *(key.path for key in KEYS),
    *(key.name for key in KEYS),
    *(name for key in KEYS for name in key.names),
    *(name for registry, _ in REGISTRIES.values() for name in registry),
}


@dataclass(frozen=True)
class Inner:
    """A table inside."""

    depth: int = 1


@dataclass(frozen=True)
class Sample:
    """A table.

    More of it.

    Parameters
    ----------
    shape
        What it looks like.

        - "round": without corners,
          everywhere
        - "square": with four
    low, high
        From here to there.
    inner
        A table.
    """

    shape: Literal["round", "square", "none"]
    colour: Annotated[str, named(("red", "blue"), "a number of the rainbow")] = "red"
    low: float = 0.5
    high: tuple[float, ...] | None = None
    inner: Inner | None = None


def test_a_key_is_what_its_annotation_and_docstring_say():
    shape, colour, low, high, _ = table_keys(Sample, "sample")
    assert (shape.path, shape.default) == ("sample.shape", None)
    assert shape.names == {"none": "", "round": "without corners, everywhere", "square": "with four"}
    assert (colour.default, list(colour.names)) == ('"red"', ["red", "blue"])
    assert colour.allowed == 'one of "red", "blue" or a number of the rainbow'
    assert (low.default, low.text, high.default, high.text) == ("0.5", "From here to there.", "", "From here to there.")


def test_every_key_is_documented_where_it_is_declared():
    assert [(key.path, key.part) for key in KEYS if not key.text] == []


def test_lists_of_meanings_are_whole():
    for key in KEYS:
        meanings = [bool(meaning) for meaning in key.names.values()]
        assert all(meanings) or not any(meanings), key.path


def test_every_name_that_a_specification_takes_is_shown(capsys):
    for name in sorted(NAMES):
        assert main(["show", name]) == 0, name
        said = capsys.readouterr().out
        assert name in said.partition("\n")[0]


def test_every_kind_that_is_listed_has_a_line_for_each_of_its_names(capsys):
    assert main(["list"]) == 0
    kinds = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.split("\n\n")[0].splitlines()}
    assert {*REGISTRIES, "tables", "sources", "partitions", "weights"} <= kinds.keys()
    for kind, count in kinds.items():
        assert main(["list", kind]) == 0
        assert f"{len(capsys.readouterr().out.splitlines())}:" == count


def test_the_kinds_that_are_listed_have_english_names(capsys):
    assert main(["list"]) == 0
    kinds = {line.split()[0] for line in capsys.readouterr().out.split("\n\n")[0].splitlines()}
    assert {"matrices", "target_on", "normalise", "error_feedback"} <= kinds
    assert not {"matrixs", "target_ons", "normalises", "error_feedbacks"} & kinds


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data", ["data (table)", "partition: one of", "test_fraction = 0.0: a number >= 0 and < 1"]),
        ("cluster.stragglers", ["slowdown = 10.0: a number >= 1"]),
        ("data.partition", ['- "dirichlet": each class divided in random proportions']),
        ("dirichlet", ["value of data.partition", "each class divided in random proportions"]),
        ("metropolis", ["value of cluster.topology.weights", "1 / (1 + max(d_i, d_j))"]),
        ("breast-cancer", ["value of data.source", "569 rows of 30 features"]),
        ("solver", ["label", "hpcopt list solvers"]),
        ("scaling", ["scaling (table)", "ranks: ", "; required", '- "weak": the same number of rows on every rank']),
        ("rows_per_rank", ["scaling.rows_per_rank (key)"]),
        ("logistic", ["logistic (loss)", "logistic (value of data.source)"]),
        ("local_steps", ["solver.local_steps (key; solvers: local-newton)"]),
        ("solver.line_search.slope", ["slope = "]),
    ],
)
def test_show_tells(name, words, capsys):
    assert main(["show", name]) == 0
    said = capsys.readouterr().out
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        (["show", "dirichlt"], "dirichlet"),
        (["show", "data.partitoin"], "data.partition"),
        (["show", "straglers"], "stragglers"),
        (["list", "partition"], "partitions"),
        (["list", "LOSSES"], "losses"),
    ],
)
def test_a_near_miss_gets_a_suggestion(arguments, guess, capsys):
    assert main(arguments) == 1
    assert f"did you mean '{guess}'?" in capsys.readouterr().err
