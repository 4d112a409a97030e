"""Speed of compressors, as ratios: relative to a copy of the vector in memory, and to numpy and torch.

A compressor should take no longer than a copy of its input; then it is never the bottleneck. Vectors are normal random
numbers in float32; messages and outputs have been used before, so that there are no page faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.bench.plain_codecs import NUMPY, Codec, torch_codecs
from hpcopt.bench.timing import Call, Case, Peer, compared
from hpcopt.compression import COMPRESSORS, Compressor
from hpcopt.compression.low_rank import LowRank
from hpcopt.compression.qsgd import QSGD
from hpcopt.compression.random_k import RandomK
from hpcopt.compression.top_k import TopK
from hpcopt.problems.dense_matrix import aligned_empty

MEMCPY = "memcpy of the vector"
QUICK, ALL = (10_000, 1_000_000), (10_000, 1_000_000, 10_000_000)

_LEAST = 0.3  # relative to the copy's speed: the goal for every compressor


@dataclass(frozen=True)
class Entry:
    """A compressor to be timed, and its goals."""

    name: str
    compressor: Compressor
    encoding: float | None = _LEAST  # relative to the copy's speed
    decoding: float = _LEAST
    numpy: float | None = None  # relative to numpy's encoding speed
    places: float | None = None  # relative to gathering the same numbers at given indices


def bench_compression(barrier: Callable[[], None], rank: int, quick: bool) -> list[dict[str, Any]]:
    """Time the compressors and their peers alternately, on all ranks simultaneously.

    Parameters
    ----------
    barrier
        Waits for all ranks.
    rank
        This rank; each rank has its own vector.
    quick
        Whether to omit vectors larger than the caches, and to use fewer rounds.

    Returns
    -------
    list of dict
        As from `timing.compared`.
    """
    cases = _cases(np.random.default_rng([0, rank]), QUICK if quick else ALL)
    return compared(barrier, cases, rounds=7 if quick else 11)


def entries() -> Iterator[Entry]:
    """Yield the entries; the names are those of `plain_codecs`."""
    yield Entry("identity", COMPRESSORS["identity"]())
    for name in ("f32", "f16", "bf16", "sign", "ternary"):
        yield Entry(name, COMPRESSORS[name](), 1.0, 1.0)
    yield Entry("threshold-ternary", COMPRESSORS["threshold-ternary"]())
    yield Entry("qsgd 8 bit", QSGD(levels=127, bucket=1024, scaled=False), 0.9, 0.9)
    yield Entry("qsgd 4 bit", QSGD(levels=7, bucket=1024, scaled=False), 0.9, 0.9)
    yield Entry("natural", COMPRESSORS["natural"](), 0.9, 0.9)
    yield Entry("top-k 1 %", TopK(fraction=0.01), numpy=15.0)
    yield Entry("random-k 1 %", RandomK(fraction=0.01), encoding=None, places=0.5)
    yield Entry("low-rank", LowRank(rank=1))


def _cases(rng: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[Case]:
    """Yield the cases, with a vector for each size; a peer's arrays are created when it is timed."""
    torch = torch_codecs()
    for size in sizes:
        x = rng.standard_normal(dtype=np.float32, out=_zeros(size))
        for entry in entries():
            yield from _both_ways(entry, x, {"numpy": NUMPY, "torch": torch})


def _both_ways(entry: Entry, x: NDArray[np.float32], libraries: dict[str, dict[str, Codec]]) -> Iterator[Case]:
    compressor, copied, out = entry.compressor, _zeros(x.size), _zeros(x.size)
    room = np.zeros(compressor.capacity(x.size, x.itemsize), dtype=np.uint8)
    message = compressor.encode(x, 1).copy()
    copy = partial(np.copyto, copied, x)
    encoding, decoding = [Peer(MEMCPY, copy, entry.encoding)], [Peer(MEMCPY, copy, entry.decoding)]
    if entry.places is not None:
        encoding.append(Peer("numpy.take at its indices", _taken(x, compressor.decode(message, out)), entry.places))
    for library, codecs in libraries.items():
        if entry.name in codecs:
            encode, decode = codecs[entry.name](x)
            encoding.append(Peer(library, encode, entry.numpy if library == "numpy" else None))
            decoding.append(Peer(library, decode))
    yield Case(f"{entry.name}, encode, {x.size:.0e}", partial(compressor.encode, x, 1, room), encoding)
    yield Case(f"{entry.name}, decode, {x.size:.0e}", partial(compressor.decode, message, out), decoding)


def _taken(x: NDArray[np.float32], kept: NDArray[np.float32]) -> Call:
    """Return the call that gathers the kept numbers, in random order, like the compressor."""
    places = np.random.default_rng(0).permutation(np.flatnonzero(kept))
    return partial(np.take, x, places, out=np.zeros(places.size, dtype=x.dtype))


def _zeros(size: int) -> NDArray[np.float32]:
    """Return a vector of zeros aligned for the widest loads, for us and for the peers."""
    zeros: NDArray[np.float32] = aligned_empty(1, size, np.float32)[0]
    zeros[:] = 0.0
    return zeros
