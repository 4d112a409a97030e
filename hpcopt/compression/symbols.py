"""How symbols of a small alphabet are packed: whole bits each, or digits in words of 64 bits.

Packing digits is half as fast, so it is used only if it saves at least a sixteenth; it supports only symbols of one
byte.
"""

from __future__ import annotations

from hpcopt.kernels.packing import PER


def way(radix: int) -> tuple[int, int]:
    """Return bits per symbol (0: digits) and symbols per word, for `radix` different symbols."""
    bits, per = (radix - 1).bit_length(), digits(radix)
    return (0, per) if bits <= 8 and 64 / per <= bits * 15 / 16 else (bits, PER)


def digits(radix: int) -> int:
    """Return the number of digits of base `radix` in a word of 64 bits."""
    per = 1
    while radix ** (per + 1) <= 2**64:
        per += 1
    return per


def symbol_bytes(n: int, radix: int) -> int:
    """Return the bytes of `n` of `radix` different symbols: full words, and the shortest word that holds the rest."""
    bits, _ = way(radix)
    return -(-n * bits // 8) if bits else digit_bytes(n, radix)


def digit_bytes(n: int, radix: int) -> int:
    """Return the bytes of `n` digits of base `radix` in words of 64 bits, the last one cut to the bytes it needs."""
    words, rest = divmod(n, digits(radix))
    largest: int = radix**rest - 1
    return 8 * words + -(-largest.bit_length() // 8)
