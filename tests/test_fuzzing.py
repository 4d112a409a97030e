"""Reading a file with any damaged byte gives a result or a one-line error, within bounded memory and time."""

from __future__ import annotations

import pytest

from hpcopt.errors import InputError
from tests import fuzzing


@pytest.mark.parametrize("name", fuzzing.KINDS)
def test_a_damaged_file_is_read_or_refused_in_one_line(name):
    outcomes, wrong = fuzzing.fuzz(name, count=200)
    assert not wrong, wrong[0]
    assert min(outcomes.values()) > 0  # otherwise the damage was always the same, or none


def test_what_should_not_happen_is_noticed(tmp_path):
    def fails(path):
        raise TypeError(path)

    def mumbles(_):
        raise InputError("")

    def believes(_):
        with fuzzing.bounded():
            return bytearray(4 * fuzzing.SPARE_BYTES)

    for read, words in ((fails, "TypeError"), (mumbles, "other than one line"), (believes, "MemoryError")):
        assert words in fuzzing.outcome(fuzzing.Kind("a", b"", read), b"", tmp_path)


def test_the_same_seed_damages_the_same_way():
    assert list(fuzzing.mutations(b"sound" * 9, 5, 20)) == list(fuzzing.mutations(b"sound" * 9, 5, 20))
