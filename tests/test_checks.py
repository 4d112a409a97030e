"""The lowest layer: range checks, multiples of 1/n, atomic file writes."""

from __future__ import annotations

import math
import os

import pytest

from hpcopt.checks import at_least, one_of, within
from hpcopt.errors import InputError, Remedy
from hpcopt.files import written_whole
from hpcopt.portions import number, portion, whole


@pytest.mark.parametrize(
    ("including", "inside", "outside", "right"),
    [
        ("neither", [0.5], [0.0, 1.0, math.nan], "between 0 and 1"),
        ("low", [0.0, 0.5], [-0.1, 1.0, math.nan], "at least 0 and below 1"),
        ("high", [0.5, 1.0], [0.0, 1.1, math.nan], "above 0 and at most 1"),
        ("both", [0.0, 0.5, 1.0], [-0.1, 1.1, math.nan], "at least 0 and at most 1"),
    ],
)
def test_an_interval_has_the_ends_it_includes_and_says_so(including, inside, outside, right):
    for value in inside:
        within(0, 1, including=including, part=value)
    for value in outside:
        with pytest.raises(InputError, match=f"^part: {right}, got {value!r}$"):
            within(0, 1, including=including, part=value)


def test_a_value_that_is_too_small_or_unknown_is_refused_by_its_name():
    at_least(1, steps=1)
    with pytest.raises(InputError, match=r"^steps: at least 1, got 0$"):
        at_least(1, batch=1, steps=0)
    with pytest.raises(InputError, match=r"^rule: one of a, b; got 'c'$"):
        one_of(("a", "b"), rule="c")


@pytest.mark.parametrize(
    ("text", "of", "value"),
    [
        ("1/n", "n", 1.0),
        (" .5e-1 / L ", "L", 0.05),
        ("0/n", "n", 0.0),
        ("1/n", "L", None),
        ("n", "n", None),
        ("-1/n", "n", None),
        ("1/n/n", "n", None),
        ("1e400/n", "n", None),
        ("1_0/n", "n", None),
        ("\u0661/n", "n", None),
        (0.5, "n", None),
    ],
)
def test_a_part_of_a_quantity_is_a_number_over_its_letter(text, of, value):
    assert portion(text, of) == value


@pytest.mark.parametrize(
    ("text", "real", "integer"),
    [
        ("3", 3.0, 3),
        (" +07 ", 7.0, 7),
        ("-.5e1", -5.0, None),
        *((text, None, None) for text in ("1_0", "\u0663", "nan", "infinity", "0x10", "", "1 0")),
        ("1e400", None, None),
        ("9" * 5000, None, None),
    ],
)
def test_a_number_is_decimal_and_finite(text, real, integer):
    assert number(text) == real
    assert whole(text) == integer


@pytest.mark.parametrize("message", ["a\nb", "a\x1b[31mb", "a\0b", "a\u202eb", "a\udcffb", "x" * 10_000])
def test_a_message_is_one_line_that_a_terminal_shows_as_it_is(message):
    told = str(InputError(f"{message}: unknown", Remedy.RANKS))
    assert told.isprintable()
    assert told.endswith(f": unknown{Remedy.RANKS.value}")
    assert len(told) < 2100


@pytest.mark.parametrize(("mode", "old", "new"), [("w", "old", "new"), ("wb", b"old", b"new")])
def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path, mode, old, new):
    path = tmp_path / "file"

    def write(content, fails):
        with written_whole(path, mode) as file:
            file.write(content)
            if fails:
                raise ZeroDivisionError

    write(old, fails=False)
    with pytest.raises(ZeroDivisionError):
        write(new, fails=True)
    read = path.read_text if mode == "w" else path.read_bytes
    assert read() == old
    write(new, fails=False)
    assert read() == new
    assert [held.name for held in tmp_path.iterdir()] == ["file"]


def test_bytes_of_a_path_that_are_no_text_are_escaped(tmp_path):
    with written_whole(tmp_path / "told.txt") as file:
        file.write(os.fsdecode(b"a\xff"))
    assert (tmp_path / "told.txt").read_text() == r"a\udcff"
