"""Prefetching of rows of a dense or sparse matrix, and of scattered numbers.

A fused kernel computes between its reads. Meanwhile the stream from memory runs dry, as the hardware prefetches only a
few cache lines. Prefetching the next rows keeps it going (measured: 1.1-1.9 times faster). Scattered numbers are not
prefetched by the hardware at all (1.3 times faster).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from hpcopt.arrays import Array, Vector
from hpcopt.kernels.cache import part

_LINE = 64  # bytes of a cache line


@intrinsic
def _prefetch(typingctx: Any, address: Any) -> Any:  # noqa: ARG001
    """Prefetch the cache line at `address`; the processor ignores invalid addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        pointer = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], shape)
        read, keep, data = number(0), number(3), number(1)
        builder.call(function, [builder.inttoptr(arguments[0], pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@part()
def prefetch_rows(X: NDArray[np.floating], first: int, count: int) -> None:
    """Prefetch rows first ... first + count - 1 of a C-contiguous `X`; they may lie beyond its end."""
    row = X.shape[1] * X.itemsize
    start = X.ctypes.data + first * row
    for address in range(start, start + count * row, _LINE):
        _prefetch(address)  # type: ignore[call-arg]  # the typing context is numba's


@part()
def prefetch_number(x: Vector, i: int | np.int64) -> None:
    """Prefetch x[i], whatever the strides of `x`; it may lie beyond its end."""
    _prefetch(x.ctypes.data + i * x.strides[0])  # type: ignore[call-arg]  # the typing context is numba's


@part()
def prefetch_slice(x: Array, start: int, stop: int, most: int) -> None:
    """Prefetch x[start:stop] of a contiguous `x`, but not more than `most` bytes of it."""
    first = x.ctypes.data + start * x.itemsize
    for address in range(first, min(first + most, x.ctypes.data + stop * x.itemsize), _LINE):
        _prefetch(address)  # type: ignore[call-arg]  # the typing context is numba's
