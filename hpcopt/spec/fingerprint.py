"""The identity of a run: the part of its specification that its results depend on.

What is written, when it is saved and how it is watched does not change results; everything else in a specification may.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from hpcopt.spec.labels import flat
from hpcopt.spec.specification import Specification, as_toml_dict

APART = ("output", "checkpoint", "watchdog")
"""The tables that results do not depend on."""


def fingerprint(spec: Specification, *, apart: Collection[str] = APART) -> str:
    """Return the SHA-256 of a specification in hexadecimal digits: equal for two of the same run.

    It is that of all resolved keys, so that a default that is written out makes no difference, nor does the order of
    the keys.

    Parameters
    ----------
    apart
        The tables, and keys, that are left out.
    """
    keys = identity(as_toml_dict(spec), apart=apart)
    return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()


def identity(tables: Mapping[str, Any], *, apart: Collection[str] = APART) -> dict[str, Any]:
    """Return the keys of a resolved specification that results depend on: {"solver.name": "sgd", ...}.

    Parameters
    ----------
    tables
        The tables as `as_toml_dict` or the "specification" of a run.json gives them.
    apart
        The tables, and keys ("cluster.workers"), that are left out.
    """
    keys = flat({name: table for name, table in tables.items() if name not in apart})
    return {key: value for key, value in keys if key not in apart}
