"""Optima that were computed before, in the user's cache folder, by a digest of all that determines them."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hpcopt.files import written_whole
from hpcopt.kernels.cache import place
from hpcopt.results.goal import Optimum
from hpcopt.runs.prepare import Prepared
from hpcopt.spec.specification import Specification
from hpcopt.version import __version__


@dataclass(frozen=True)
class _Kept:
    """The contents of a file; the digest tells what is damaged, edited, or under the name of another problem."""

    optimum: Optimum
    sha256: str


def _digest(file: Path, optimum: Optimum) -> str:
    return hashlib.sha256(f"{file.name}\n{json.dumps(optimum.as_dict())}".encode()).hexdigest()


def recall(spec: Specification, prepared: Prepared) -> Optimum | None:
    """Return the optimum of the prepared problem if it is known from before; on the process that writes."""
    file = _file(spec, prepared)
    if file is None:
        return None
    with suppress(OSError, msgspec.DecodeError, RecursionError):
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
        if kept.sha256 == _digest(file, kept.optimum):
            return kept.optimum
    return None


def remember(spec: Specification, prepared: Prepared, optimum: Optimum) -> None:
    """Keep the optimum, if there is a place for it; on the process that writes."""
    file = _file(spec, prepared)
    if file is None:
        return
    with suppress(OSError):
        file.parent.mkdir(exist_ok=True, mode=0o700)
        with written_whole(file) as out:
            out.write(json.dumps({"optimum": optimum.as_dict(), "sha256": _digest(file, optimum)}))


def _file(spec: Specification, prepared: Prepared) -> Path | None:
    """Return the file of a problem; None without a cache."""
    kernels = place().folder
    if kernels is None:
        return None
    loaded, matrix = prepared.loaded, prepared.shards[prepared.cluster.local_nodes[0]].matrix
    told = (
        *(__version__, loaded.checksum, loaded.rows, loaded.features, spec.data.scale, str(matrix.storage)),
        *(prepared.problem.formulation, prepared.problem.model),
    )
    return kernels.parent / "optima" / f"{hashlib.sha256(repr(told).encode()).hexdigest()[:32]}.json"
