"""Records: writing and reading a line of the trace, and a single definition of the columns."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest

from hpcopt.errors import InputError
from hpcopt.results import folder as folders
from hpcopt.results import tables
from hpcopt.results.record import ALWAYS, COLUMNS, WHERE_THERE, Record
from tests.records import record

SOME = record(round=3, objective=0.5, test_error=0.25, gradients=7)


def test_a_line_holds_the_columns_that_there_are_in_their_order():
    columns = json.loads(SOME.line())
    assert list(columns) == [*ALWAYS, "test_error", "gradients"]
    assert list(columns) == [name for name in COLUMNS if name in columns]


@pytest.mark.parametrize("some", [SOME, record(), record(consensus=0.0, discarded=0)])
def test_a_line_is_read_as_what_was_written(some):
    assert Record.of(json.loads(some.line())) == some


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", ["objective", "consensus"])
def test_what_is_no_number_is_null_in_the_file_and_nan_when_read(column, value):
    line = record(**{column: value}).line()
    assert json.loads(line)[column] is None
    assert math.isnan(getattr(Record.of(json.loads(line)), column))


@pytest.mark.parametrize("damaged", ["[1]", "null", '{"round": 1}'])
def test_what_is_no_record_is_refused_with_its_line(tmp_path, damaged):
    described = {"label": "a", "problem": "p", "specification": {}}
    folders.write_json(tmp_path / folders.RUN, described)
    (tmp_path / folders.TRACE).write_text(SOME.line() + damaged + "\n")
    with pytest.raises(InputError, match="line 2: not a record of a trace"):
        folders.read(tmp_path)


def test_columns_of_later_versions_are_left_out():
    assert Record.of({**SOME.as_dict(), "from_later": 1.0}) == SOME


def test_a_record_is_judged_by_the_column_asked_for_where_it_has_it():
    assert record(objective=1.0, worst_objective=2.0).judged("worst_objective").objective == 2.0
    assert record(objective=1.0).judged("worst_objective").objective == 1.0


def test_compare_csv_has_every_column_that_some_runs_have():
    assert [name for name in tables.COLUMNS if name in WHERE_THERE] == list(WHERE_THERE)


@pytest.mark.parametrize("column", fields(Record), ids=lambda column: column.name)
def test_the_documentation_says_what_a_column_means(column):
    assert column.metadata["meaning"]
