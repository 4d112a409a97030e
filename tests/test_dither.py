"""The compressors' random words: a pure function of key and counter, without patterns that affect rounding."""

from __future__ import annotations

import numpy as np
import pytest

from hpcopt.kernels import dither

WORDS = 1 << 15


def words(key, first=0, n=WORDS):
    out = np.empty(n, np.uint32)
    dither.fill(np.uint64(key), first, out)
    return out


def twin(key, counter):
    """Word `counter` of `key` with Python's integers, as documented in the module."""
    z = (key + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    x = (counter + z) % 2**32
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32
    x = (x ^ x >> 15 ^ z >> 32) * 0x846CA68B % 2**32
    return x ^ x >> 16


@pytest.mark.parametrize("key", [0, 1, 2**32, 2**63 + 5, 2**64 - 1])
def test_words_are_the_documented_function_of_key_and_counter(key):
    counters = [0, 1, 2, 77, 2**31, 2**32 - 1]
    assert [int(words(key, c, 1)[0]) for c in counters] == [twin(key, c) for c in counters]


def test_a_stretch_of_words_does_not_depend_on_where_it_is_cut():
    whole = words(7, first=3, n=1000)
    pieces = [words(7, first=3 + cut, n=min(97, 1000 - cut)) for cut in range(0, 1000, 97)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("bit", [0, 1, 13, 31, 32, 47, 63])
def test_every_bit_of_the_key_changes_half_of_all_bits(bit):
    changed = words(5) ^ words(5 ^ 1 << bit)
    mean = np.unpackbits(changed.view(np.uint8)).mean()
    assert abs(mean - 0.5) < 4 * 0.5 / np.sqrt(32 * WORDS)


@pytest.mark.parametrize("lag", [1, 2, 3, 16, 512, 1024])
def test_dithers_are_uncorrelated_over_elements_and_over_keys(lag):
    u = words(3).view(np.uint16) / 65536 - 0.5
    bound = 4 / 12 / np.sqrt(u.size - lag)
    assert abs(np.mean(u[lag:] * u[:-lag])) < bound
    other = words(3 + lag).view(np.uint16) / 65536 - 0.5
    assert abs(np.mean(u * other)) < bound


def test_dithers_fill_their_range_evenly():
    counts = np.bincount(words(11).view(np.uint16) >> 8, minlength=256)
    expected = 2 * WORDS / 256
    chi_square = np.sum((counts - expected) ** 2) / expected
    assert abs(chi_square - 255) < 4 * np.sqrt(2 * 255)
