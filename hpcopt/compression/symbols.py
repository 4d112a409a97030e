"""How symbols of a small alphabet are packed: whole bits each, or digits in words of 64 bits.

Packing digits is half as fast, so it is used only if it saves at least a sixteenth; it supports only symbols of one
byte.
"""

from __future__ import annotations

from hpcopt.kernels.packing import PER


def way(radix: int) -> tuple[int, int]:
    """Return bits per symbol (0: digits) and symbols per word, for `radix` different symbols."""
    bits = (radix - 1).bit_length()
    per = 1
    while radix ** (per + 1) <= 2**64:
        per += 1
    return (0, per) if bits <= 8 and 64 / per <= bits * 15 / 16 else (bits, PER)


def symbol_bytes(n: int, radix: int) -> int:
    """Return the bytes of `n` of `radix` different symbols: full words, and the shortest word that holds the rest."""
    bits, per = way(radix)
    if bits:
        return -(-n * bits // 8)
    rest: int = radix ** (n % per) - 1
    return 8 * (n // per) + -(-rest.bit_length() // 8)
