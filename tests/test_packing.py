"""Unpacking returns the packed symbols, and messages have the declared sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcopt.kernels.packing import LANES, PER, pack, unpack

WAYS = [(bits, 1 << bits, PER) for bits in range(1, 9)] + [(0, 3, 40), (0, 5, 27), (0, 9, 20), (0, 33, 12), (0, 129, 9)]
WAY = pytest.mark.parametrize("way", WAYS, ids=str)
LONGEST = LANES * PER  # of the shortest block


def packed(symbols, way):
    bits, radix, per = way
    out = np.full(2 * symbols.size + 8, 99, np.uint8)
    size = pack(symbols, bits, radix, per, out)
    assert (out[size:] == 99).all()
    return out[:size]


def unpacked(message, n, way):
    bits, radix, per = way
    symbols = np.full(n, 99, np.uint8)
    assert unpack(message, bits, radix, per, symbols) == message.size
    return symbols


@WAY
@settings(deadline=None, max_examples=25)  # the first call compiles
@given(n=st.integers(0, LONGEST), seed=st.integers(0, 2**32 - 1))
def test_symbols_survive_packing_for_every_length(way, n, seed):
    symbols = np.random.default_rng(seed).integers(0, way[1], n).astype(np.uint8)
    np.testing.assert_array_equal(unpacked(packed(symbols, way), n, way), symbols)


@WAY
def test_a_full_block_of_the_largest_symbols_survives(way):
    symbols = np.full(LANES * way[2], way[1] - 1, np.uint8)
    np.testing.assert_array_equal(unpacked(packed(symbols, way), symbols.size, way), symbols)


@WAY
@pytest.mark.parametrize("rest", [0, 1, 3, 7])
def test_a_block_takes_whole_words_and_the_shortest_rest(way, rest):
    bits, radix, per = way
    size = packed(np.zeros(3 * per + rest, np.uint8), way).size
    assert size == 3 * (bits or 8) + -(-(radix**rest - 1).bit_length() // 8)


def test_words_of_bits_are_vertical():
    symbols = np.arange(16, dtype=np.uint8)  # two words: even and odd symbols, byte by byte
    assert packed(symbols, (4, 16, PER)).tolist() == [0x20, 0x31, 0x64, 0x75, 0xA8, 0xB9, 0xEC, 0xFD]


def test_words_of_a_radix_are_numbers_with_the_first_symbol_lowest():
    symbols = np.zeros(80, np.uint8)
    symbols[[0, 1, 78, 79]] = 1, 2, 1, 2
    assert packed(symbols, (0, 3, 40)).view(np.uint64).tolist() == [1 + 3**39, 2 + 2 * 3**39]
