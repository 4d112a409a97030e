"""Packing of symbols of a small alphabet, given one per byte, into few bytes, and unpacking.

Two methods; `per` symbols form a word:

    bits     8 symbols of `bits` bits make `bits` bytes
    radix    `per` symbols below `radix` make 8 bytes: sum_k s_k radix^k < 2**64

The layout is vertical. Symbols form groups of LANES words; the last group may be smaller. A group of n symbols has m =
n // per full words, and word l contains symbols l, l + m, l + 2m, ..., so that neighbours in memory are neighbours in a
register. With bits, byte j of all words of a group is stored contiguously, in m bytes; with radix, the words are stored
one after another. The last n mod `per` symbols form a separate word, cut to the bytes it needs.

LLVM vectorises the radix code; for bits, our own LLVM instructions process LANES bytes at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from hpcopt.arrays import Bytes
from hpcopt.kernels.cache import part

PER = 8  # symbols per word with the method `bits`
LANES = 64  # words of a group
_GROUP = LANES * PER

_8 = np.uint64(8)
_BYTE = np.uint64(255)

_REGISTER = ir.VectorType(ir.IntType(8), LANES)


@part()
def pack(symbols: Bytes, bits: int, radix: int, per: int, out: Bytes) -> int:
    """Pack `symbols`, shape (n,), into the beginning of `out`; return the number of bytes written.

    Parameters
    ----------
    bits, radix, per
        The method: `bits` per symbol in [1, 8] and per = PER (`radix` is ignored); or bits = 0, the number of different
        symbols, and the largest `per` with radix**per <= 2**64.
    """
    at = _pack_bits(symbols, bits, out) if bits else _pack_radix(symbols, radix, per, out)
    rest = symbols.size % per
    return at + _pack_rest(symbols[symbols.size - rest :], 1 << bits if bits else radix, out[at:])


@part()
def unpack(message: Bytes, bits: int, radix: int, per: int, symbols: Bytes) -> int:
    """Fill `symbols`, shape (n,), from the beginning of `message`; return the number of bytes read.

    The other parameters as in `pack`.
    """
    at = _unpack_bits(message, bits, symbols) if bits else _unpack_radix(message, radix, per, symbols)
    rest = symbols.size % per
    return at + _unpack_rest(message[at:], 1 << bits if bits else radix, symbols[symbols.size - rest :])


@part()
def _pack_bits(symbols: Bytes, bits: int, out: Bytes) -> int:
    """Pack all full words by bits."""
    at = 0
    last = symbols.size // _GROUP * _GROUP
    for first in range(0, last, _GROUP):
        at += _pack_group(symbols, first, bits, out, at)  # type: ignore[call-arg]  # numba's typing context
    m = (symbols.size - last) // PER
    return at + _pack_lanes(symbols[last:], m, bits, out[at:])


@part()
def _unpack_bits(message: Bytes, bits: int, symbols: Bytes) -> int:
    """Unpack all full words by bits."""
    at = 0
    last = symbols.size // _GROUP * _GROUP
    for first in range(0, last, _GROUP):
        at += _unpack_group(message, at, bits, symbols, first)  # type: ignore[call-arg]  # numba's typing context
    m = (symbols.size - last) // PER
    return at + _unpack_lanes(message[at:], m, bits, symbols[last:])


@part()
def _pack_radix(symbols: Bytes, radix: int, per: int, out: Bytes) -> int:
    """Pack all full words by radix."""
    at = 0
    for first in range(0, symbols.size, LANES * per):
        group = symbols[first : first + LANES * per]
        at += _pack_words(group, group.size // per, radix, per, out[at:])
    return at


@part()
def _unpack_radix(message: Bytes, radix: int, per: int, symbols: Bytes) -> int:
    """Unpack all full words by radix."""
    at = 0
    for first in range(0, symbols.size, LANES * per):
        group = symbols[first : first + LANES * per]
        at += _unpack_words(message[at:], group.size // per, radix, per, group)
    return at


def _for_each_width(source: Any, target: Any, move: Callable[..., None]) -> Any:
    """Return numba's signature (source, index, bits, target, index) and code with one branch per width.

    `move(builder, source, target, bits)` writes the code of a branch; source and target are addresses of registers.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        places = []
        for k in (0, 3):
            array = context.make_array(signature.args[k])(context, builder, arguments[k])
            place = builder.gep(array.data, [arguments[k + 1]])
            places.append(builder.bitcast(place, _REGISTER.as_pointer()))
        width = arguments[2]
        done = builder.append_basic_block("done")
        switch = builder.switch(width, done)
        for bits in range(1, 9):
            branch = builder.append_basic_block(f"bits{bits}")
            switch.add_case(ir.Constant(width.type, bits), branch)
            builder.position_at_end(branch)
            move(builder, *places, bits)
            builder.branch(done)
        builder.position_at_end(done)
        return builder.mul(width, ir.Constant(width.type, LANES))

    return types.intp(source, types.intp, types.intp, target, types.intp), generate


def _shifted(builder: Any, register: Any, left: int) -> Any:
    """Return `register` with each byte shifted left, or right by -left."""
    count = ir.Constant(_REGISTER, [abs(left)] * LANES)
    return builder.shl(register, count) if left > 0 else builder.lshr(register, count)


def _at(builder: Any, place: Any, index: int) -> Any:
    return builder.gep(place, [ir.IntType(32)(index)])


@intrinsic
def _pack_group(typingctx: Any, symbols: Any, first: Any, bits: Any, out: Any, at: Any) -> Any:  # noqa: ARG001
    """Pack LANES words by bits."""

    def move(builder: Any, source: Any, target: Any, bits: int) -> None:
        symbols = [builder.load(_at(builder, source, k), align=1) for k in range(PER)]
        for j in range(bits):  # symbol k begins at bit k * bits of its word, byte j at bit 8 j
            pieces = [
                _shifted(builder, symbols[k], k * bits - 8 * j)
                for k in range(PER)
                if k * bits < 8 * (j + 1) and (k + 1) * bits > 8 * j
            ]
            byte = pieces[0]
            for piece in pieces[1:]:
                byte = builder.or_(byte, piece)
            builder.store(byte, _at(builder, target, j), align=1)

    return _for_each_width(symbols, out, move)


@intrinsic
def _unpack_group(typingctx: Any, message: Any, at: Any, bits: Any, symbols: Any, first: Any) -> Any:  # noqa: ARG001
    """Unpack LANES words by bits."""

    def move(builder: Any, source: Any, target: Any, bits: int) -> None:
        planes = [builder.load(_at(builder, source, j), align=1) for j in range(bits)]
        mask = ir.Constant(_REGISTER, [(1 << bits) - 1] * LANES)
        for k in range(PER):
            first, last = k * bits // 8, ((k + 1) * bits - 1) // 8
            symbol = _shifted(builder, planes[first], 8 * first - k * bits)
            if last > first:
                symbol = builder.or_(symbol, _shifted(builder, planes[last], 8 * last - k * bits))
            builder.store(builder.and_(symbol, mask), _at(builder, target, k), align=1)

    return _for_each_width(message, symbols, move)


@part()
def _pack_lanes(symbols: Bytes, m: int, bits: int, out: Bytes) -> int:
    """`_pack_group` for m < LANES words, one after another."""
    width = np.uint64(bits)
    for lane in range(m):
        word = np.uint64(0)
        for k in range(PER - 1, -1, -1):
            word = np.uint64((word << width) | np.uint64(symbols[k * m + lane]))
        for j in range(bits):
            out[j * m + lane] = np.uint8(word & _BYTE)
            word >>= _8
    return m * bits


@part()
def _unpack_lanes(message: Bytes, m: int, bits: int, symbols: Bytes) -> int:
    """`_unpack_group` for m < LANES words, one after another."""
    width = np.uint64(bits)
    mask = np.uint64((1 << bits) - 1)
    for lane in range(m):
        word = np.uint64(0)
        for j in range(bits - 1, -1, -1):
            word = np.uint64((word << _8) | np.uint64(message[j * m + lane]))
        for k in range(PER):
            symbols[k * m + lane] = np.uint8(word & mask)
            word >>= width
    return m * bits


@part()
def _pack_words(symbols: Bytes, m: int, radix: int, per: int, out: Bytes) -> int:
    """Pack m <= LANES words by radix.

    Digits are first combined in 32 bits, as many as fit, and then in 64, so that a register holds twice as many.
    """
    digits = _digits(radix, 32)
    lift = np.uint64(radix**digits)
    words = np.empty(LANES, np.uint64)[:m]
    parts = np.empty(LANES, np.uint32)[:m]
    for lane in range(m):
        words[lane] = np.uint64(0)
    for first in range((per - 1) // digits * digits, -1, -digits):
        for lane in range(m):
            parts[lane] = np.uint32(0)
        for k in range(min(first + digits, per) - 1, first - 1, -1):
            source = symbols[k * m : (k + 1) * m]
            for lane in range(m):
                parts[lane] = np.uint32(np.uint32(parts[lane] * np.uint32(radix)) + np.uint32(source[lane]))
        for lane in range(m):
            words[lane] = np.uint64(words[lane] * lift + np.uint64(parts[lane]))
    _copy(words.view(np.uint8), out[: 8 * m])
    return 8 * m


@part(fastmath=("contract",))
def _unpack_words(message: Bytes, m: int, radix: int, per: int, symbols: Bytes) -> int:
    """Unpack m <= LANES words by radix, by floating-point multiplication, as vector units can't divide integers.

    Parts below 2**21 are split off in float64, and their digits in float32: trunc((part + 0.5) / radix) is correct if
    the error of the product is below 0.5 / radix. For a word the quotient may be off by one, which the remainder shows.
    """
    digits = _digits(radix, 21)
    lift = radix**digits
    inverse = np.float32(1.0 / radix)
    half = np.float32(0.5 / radix)
    words = np.empty(LANES, np.uint64)[:m]
    parts = np.empty(LANES, np.float32)[:m]
    _copy(message[: 8 * m], words.view(np.uint8))
    for first in range(0, per, digits):
        for lane in range(m):
            upper = np.int64(np.float64(words[lane]) * (1.0 / lift))
            part = np.int64(words[lane]) - upper * lift
            off = np.int64(part >= lift) - np.int64(part < 0)
            words[lane] = np.uint64(upper + off)
            parts[lane] = np.float32(np.int32(part - off * lift))
        for k in range(first, min(first + digits, per)):
            target = symbols[k * m : (k + 1) * m]
            for lane in range(m):
                quotient = np.floor(parts[lane] * inverse + half)
                target[lane] = np.uint8(np.int32(parts[lane] - quotient * np.float32(radix)))
                parts[lane] = quotient
    return 8 * m


@part()
def _digits(radix: int, bits: int) -> int:
    """Return the number of digits that fit into `bits` bits."""
    digits = 0
    power = radix
    while power <= 1 << bits:
        power *= radix
        digits += 1
    return digits


@part()
def _pack_rest(symbols: Bytes, base: int, out: Bytes) -> int:
    """Pack fewer than `per` symbols into the shortest word."""
    radix = np.uint64(base)
    word = np.uint64(0)
    top = np.uint64(0)
    for k in range(symbols.size - 1, -1, -1):
        word = np.uint64(word * radix + np.uint64(symbols[k]))
        top = np.uint64(top * radix + radix - np.uint64(1))
    at = 0
    while top:
        out[at] = np.uint8(word & _BYTE)
        word >>= _8
        top >>= _8
        at += 1
    return at


@part()
def _unpack_rest(message: Bytes, base: int, symbols: Bytes) -> int:
    """Unpack symbols.size symbols from the shortest word."""
    radix = np.uint64(base)
    top = np.uint64(0)
    for _ in range(symbols.size):
        top = np.uint64(top * radix + radix - np.uint64(1))
    word = np.uint64(0)
    shift = np.uint64(0)
    at = 0
    while top:
        word |= np.uint64(message[at]) << shift
        shift += _8
        top >>= _8
        at += 1
    for k in range(symbols.size):
        quotient = np.uint64(word // radix)
        symbols[k] = np.uint8(word - quotient * radix)
        word = quotient
    return at


@part()
def _copy(source: Bytes, target: Bytes) -> None:
    """Copy in a loop, which is compiled to a memcpy; numba's slice assignment is not."""
    for i in range(target.size):
        target[i] = source[i]
