"""Straightforward compressors in a few lines of numpy or torch: the peers of the benchmark.

Each codec takes a float32 vector and returns two calls, to encode it and to decode the result. Outputs that the library
can write into are created beforehand. If a codec works on groups of numbers, the vector is padded with zeros before
timing starts.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.bench.timing import Call

Vector = NDArray[np.float32]
Codec = Callable[[Vector], tuple[Call, Call]]

_TRITS = 5  # per byte
_BUCKET = 1024


def _padded(x: Vector, group: int) -> Vector:
    return np.pad(x, (0, -x.size % group))


def _copied(source: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    np.copyto(out, source, casting="same_kind")
    return out


def _half(x: Vector) -> tuple[Call, Call]:
    code, out = x.astype(np.float16), np.zeros_like(x)
    return partial(_copied, x, code), partial(_copied, code, out)


def _brain(x: Vector) -> tuple[Call, Call]:
    def encode() -> Any:
        bits = x.view(np.uint32)
        return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)

    code = encode()
    return encode, lambda: (code.astype(np.uint32) << 16).view(np.float32)


def _sign(x: Vector) -> tuple[Call, Call]:
    def encode() -> Any:
        return np.packbits(x < 0), np.abs(x).mean()

    code, scale = encode()
    return encode, lambda: np.where(np.unpackbits(code, count=x.size), -scale, scale)


def _trits(values: NDArray[np.int8]) -> Any:
    powers = np.array([1, 3, 9, 27, 81], dtype=np.uint8)
    return (values.view(np.uint8).reshape(-1, _TRITS) * powers).sum(axis=1, dtype=np.uint8)


def _from_trits(code: NDArray[np.uint8], scale: float) -> Any:
    digits = (np.arange(256)[:, np.newaxis] // 3 ** np.arange(_TRITS)) % 3
    table = np.array([0.0, scale, -scale], dtype=np.float32)[digits]
    return table[code].reshape(-1)


def _ternary(x: Vector) -> tuple[Call, Call]:
    x, rng = _padded(x, _TRITS), np.random.default_rng(0)

    def encode() -> Any:
        sizes = np.abs(x)
        scale = sizes.max()
        kept = rng.random(x.size, dtype=np.float32) * scale < sizes
        return _trits(np.where(kept, np.where(x < 0, 2, 1), 0).astype(np.int8)), scale

    code, scale = encode()
    return encode, partial(_from_trits, code, scale)


def _threshold_ternary(x: Vector) -> tuple[Call, Call]:
    x = _padded(x, _TRITS)

    def encode() -> Any:
        sizes = np.abs(x)
        kept = sizes > 0.7 * sizes.mean()
        return _trits(np.where(kept, np.where(x < 0, 2, 1), 0).astype(np.int8)), sizes[kept].mean()

    code, scale = encode()
    return encode, partial(_from_trits, code, scale)


def _steps(rows: NDArray[np.float32], levels: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return QSGD's signed steps, int8, and the norms of the rows."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    steps = np.floor(np.abs(rows) * (levels / norms) + rng.random(rows.shape, dtype=np.float32))
    return np.copysign(steps, rows).astype(np.int8), norms


def _qsgd_8_bit(x: Vector) -> tuple[Call, Call]:
    rows, rng = _padded(x, _BUCKET).reshape(-1, _BUCKET), np.random.default_rng(0)
    steps, norms = _steps(rows, 127, rng)
    return partial(_steps, rows, 127, rng), lambda: steps * (norms / 127)


def _qsgd_4_bit(x: Vector) -> tuple[Call, Call]:
    rows, rng = _padded(x, _BUCKET).reshape(-1, _BUCKET), np.random.default_rng(0)

    def encode() -> Any:
        steps, norms = _steps(rows, 7, rng)
        symbols = (steps + np.int8(7)).view(np.uint8).reshape(-1)
        return symbols[0::2] | (symbols[1::2] << 4), norms

    code, norms = encode()

    def decode() -> Any:
        symbols = np.empty((code.size, 2), dtype=np.int8)
        symbols[:, 0], symbols[:, 1] = code & 15, code >> 4
        return (symbols.reshape(-1, _BUCKET) - np.int8(7)) * (norms / 7)

    return encode, decode


def _natural(x: Vector) -> tuple[Call, Call]:
    rng = np.random.default_rng(0)

    def encode() -> Any:
        bits = x.view(np.uint32)
        rounded = bits + rng.integers(0, 2**23, x.size, dtype=np.uint32)
        return (rounded >> 23).astype(np.uint8), np.packbits(x < 0)

    exponents, signs = encode()

    def decode() -> Any:
        negative = np.unpackbits(signs, count=x.size).astype(np.uint32)
        return (negative << 31 | exponents.astype(np.uint32) << 23).view(np.float32)

    return encode, decode


def _scattered(places: NDArray[Any], values: Vector, out: Vector) -> Vector:
    out[:] = 0.0
    out[places] = values
    return out


def _top_k(x: Vector) -> tuple[Call, Call]:
    k, out = x.size // 100, np.zeros_like(x)

    def encode() -> Any:
        places = np.argpartition(np.abs(x), x.size - k)[x.size - k :]
        return places, x[places]

    places, values = encode()
    return encode, partial(_scattered, places, values, out)


def _random_k(x: Vector) -> tuple[Call, Call]:
    k, out, rng = x.size // 100, np.zeros_like(x), np.random.default_rng(0)

    def encode() -> Any:
        places = rng.choice(x.size, k, replace=False)
        return places, x[places]

    places, values = encode()
    return encode, partial(_scattered, places, values, out)


def _low_rank(x: Vector) -> tuple[Call, Call]:
    n = math.isqrt(x.size - 1) + 1
    M, rng = _padded(x, n).reshape(-1, n), np.random.default_rng(0)
    out = np.zeros_like(M)

    def encode() -> Any:
        p = M @ rng.standard_normal(n, dtype=np.float32)
        p /= np.linalg.norm(p)
        return p, p @ M

    p, q = encode()
    return encode, lambda: np.outer(p, q, out)


NUMPY: dict[str, Codec] = {
    "f16": _half,
    "bf16": _brain,
    "sign": _sign,
    "ternary": _ternary,
    "threshold-ternary": _threshold_ternary,
    "qsgd 8 bit": _qsgd_8_bit,
    "qsgd 4 bit": _qsgd_4_bit,
    "natural": _natural,
    "top-k 1 %": _top_k,
    "random-k 1 %": _random_k,
    "low-rank": _low_rank,
}


def torch_codecs() -> dict[str, Codec]:
    """Return the codecs provided by torch; none if it is not installed."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return {}

    def cast(kind: Any) -> Codec:
        def codec(x: Vector) -> tuple[Call, Call]:
            whole, out = torch.from_numpy(x), torch.zeros(x.size)
            code = whole.to(kind)
            return lambda: code.copy_(whole), lambda: out.copy_(code)

        return codec

    def largest(x: Vector) -> tuple[Call, Call]:
        whole, out, k = torch.from_numpy(x), torch.zeros(x.size), x.size // 100

        def encode() -> Any:
            places = torch.topk(whole.abs(), k, sorted=False).indices
            return places, whole[places]

        places, values = encode()
        return encode, lambda: out.zero_().index_copy_(0, places, values)

    return {"f16": cast(torch.float16), "bf16": cast(torch.bfloat16), "top-k 1 %": largest}
