"""Sixteen numbers at a time, for operations that LLVM does not vectorise: comparisons packed into bits, and back.

A loop that shifts bits into a word is not vectorised, but a comparison of vectors whose sixteen truth values are read
as one integer takes one or two instructions. The code uses LLVM's vectors, such as <16 x float>, which it translates
for every processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hpcopt.arrays import Bytes, Floats
from hpcopt.kernels.cache import part

LANES = 16
_MASK = ir.VectorType(ir.IntType(1), LANES)


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
    """Return the address of element `index` of a contiguous array, as that of a value of type `kind`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _splat(builder: Any, number: Any) -> Any:
    """Return a vector of `number` in every lane."""
    vector = ir.VectorType(number.type, LANES)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LANES), None))


@intrinsic
def _negatives(typingctx: Any, x: Any, index: Any) -> Any:  # noqa: ARG001
    """Compare sixteen numbers with zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(signature.args[0].dtype)
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1], ir.VectorType(number, LANES))
        numbers = builder.load(place, align=context.get_abi_sizeof(number))
        below = builder.fcmp_ordered("<", numbers, ir.Constant(numbers.type, None))
        return builder.bitcast(below, ir.IntType(LANES))

    return types.uint16(x, types.intp), generate


@part()
def negatives(x: Floats, index: int) -> np.uint16:
    """Return, as 16 bits, which of x[index], ..., x[index + 15] are below zero, the first in the lowest bit."""
    return _negatives(x, index)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _nonzeros(typingctx: Any, levels: Any, index: Any) -> Any:  # noqa: ARG001
    """Compare sixty-four bytes with zero."""
    lanes, word = ir.VectorType(ir.IntType(8), 64), ir.IntType(64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = builder.load(_place(context, builder, signature.args[0], arguments[0], arguments[1], lanes), align=1)
        return builder.bitcast(builder.icmp_signed("!=", numbers, ir.Constant(lanes, None)), word)

    return types.uint64(levels, types.intp), generate


@part()
def nonzeros(levels: NDArray[np.int8], index: int) -> np.uint64:
    """Return, as 64 bits, which of levels[index], ..., levels[index + 63] are not zero, the first in the lowest bit."""
    return _nonzeros(levels, index)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _ones(typingctx: Any, word: Any) -> Any:  # noqa: ARG001
    """Count the bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@part()
def ones(word: np.uint64) -> int:
    """Return the number of bits that are set."""
    return _ones(word)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _store(typingctx: Any, message: Any, index: Any, word: Any) -> Any:  # noqa: ARG001
    """Write a number of any type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, word = arguments
        builder.store(word, _place(context, builder, signature.args[0], array, index, word.type), align=1)
        return context.get_dummy_value()

    return types.void(message, types.intp, word), generate


@part()
def store_word(message: Bytes, index: int, word: np.generic) -> None:
    """Write a number, lowest byte first, to message[index], ..., at any alignment."""
    _store(message, index, word)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _load(typingctx: Any, message: Any, index: Any, kind: Any) -> Any:  # noqa: ARG001
    """Return the number of type `kind` that begins at message[index], at any alignment."""
    number = kind.instance_type

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, _ = arguments
        place = _place(context, builder, signature.args[0], array, index, context.get_value_type(number))
        return builder.load(place, align=1)

    return number(message, types.intp, kind), generate


@part()
def load_word(message: Bytes, index: int) -> np.uint16:
    """Return the 16 bits in message[index] and message[index + 1], lowest byte first, at any alignment."""
    return _load(message, index, np.uint16)  # type: ignore[call-arg]  # numba's typing context


@part()
def load_long(message: Bytes, index: int) -> np.uint64:
    """Return the 64 bits from message[index] on, lowest byte first, at any alignment."""
    return _load(message, index, np.uint64)  # type: ignore[call-arg]  # numba's typing context


@part()
def load_single(message: Bytes, index: int) -> np.float32:
    """Return the float32 in message[index], ..., message[index + 3], at any alignment."""
    return _load(message, index, np.float32)  # type: ignore[call-arg]  # numba's typing context


@intrinsic
def _choose(typingctx: Any, out: Any, index: Any, word: Any, zero: Any, one: Any) -> Any:  # noqa: ARG001
    """Select one of two numbers sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, word, zero, one = arguments
        lanes = builder.select(builder.bitcast(word, _MASK), _splat(builder, one), _splat(builder, zero))
        place = _place(context, builder, signature.args[0], array, index, lanes.type)
        builder.store(lanes, place, align=context.get_abi_sizeof(one.type))
        return context.get_dummy_value()

    return types.void(out, types.intp, types.uint16, out.dtype, out.dtype), generate


@part()
def choose(out: Floats, index: int, word: np.uint16, zero: np.floating, one: np.floating) -> None:
    """Fill out[index], ..., out[index + 15] with the number `one` where the word has a bit, else with `zero`."""
    _choose(out, index, word, zero, one)  # type: ignore[call-arg]  # numba's typing context
