"""Counter-based random bits for dithers: a hash of a key and a counter.

A compressor with random rounding needs one number per element, the same in every loop, on every machine, in any order.
So the numbers depend only on (key, element):

    word c = bits32(key, c);    element i has half i mod 2 of word i // 2 (half 0: the low 16 bits)

Read as 16-bit numbers in memory, words first, first + 1, ... are the dithers of elements 2 first, 2 first + 1, ...,
independent of the division into blocks. `fill` writes them in this form. If 32 bits per element are needed, element i
uses word i.

The counter is hashed by Wellons' lowbias32 (hash-prospector, 2018), with one half of the key added before it and the
other in the middle: two 32-bit multiplications, which every vector unit has. The key first goes through the finaliser
of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), once per loop, so that keys 0, 1, 2, ... give unrelated streams.
Words repeat after 2**32 counters. Not for cryptography.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hpcopt.kernels.cache import part

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S27 = np.uint64(27)
_S30 = np.uint64(30)
_S31 = np.uint64(31)
_S32 = np.uint64(32)


@part()
def mixed(key: np.uint64) -> np.uint64:
    """SplitMix64's output for the state `key` + golden ratio: a bijection of 64 bits."""
    z = np.uint64(np.uint64(key) + _GOLDEN)
    z = np.uint64((z ^ (z >> _S30)) * _MIX_1)
    z = np.uint64((z ^ (z >> _S27)) * _MIX_2)
    return np.uint64(z ^ (z >> _S31))


@intrinsic
def _lowbias(typingctx: Any, counter: Any, low: Any, high: Any) -> Any:  # noqa: ARG001
    """Hash a counter between the halves of a key, in 32-bit arithmetic: numba would widen it to 64."""
    word = types.uint32

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        counter, low, high = arguments
        number = counter.type
        x = builder.add(counter, low)
        x = builder.mul(builder.xor(x, builder.lshr(x, number(16))), number(0x7FEB352D))
        x = builder.xor(builder.xor(x, builder.lshr(x, number(15))), high)
        x = builder.mul(x, number(0x846CA68B))
        return builder.xor(x, builder.lshr(x, number(16)))

    return word(word, word, word), generate


@part()
def bits32(key: np.uint64, counter: int | np.uint32) -> np.uint32:
    """Return word `counter` of `key`: 32 bits that look independent of all others.

    In a loop over counters, the part that depends only on the key is hoisted, and the rest is vectorised.

    Parameters
    ----------
    key
        Any 64 bits; all of them matter.
    counter
        Only its lower 32 bits are used.
    """
    z = mixed(key)
    return _lowbias(np.uint32(counter), np.uint32(z), np.uint32(z >> _S32))  # type: ignore[call-arg]  # numba's context


@part()
def fill(key: np.uint64, first: int, words: NDArray[np.uint32]) -> None:
    """Fill `words`, shape (n,), with words first ... first + n - 1 of `key`; `words.view(np.uint16)` are dithers."""
    counter = np.uint32(first)
    for c in range(words.size):
        words[c] = bits32(key, counter)
        counter = np.uint32(counter + np.uint32(1))  # as wide as the hash: converting c costs as much as hashing
