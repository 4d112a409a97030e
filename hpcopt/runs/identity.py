"""Whether a folder holds a run of the same specification, by what its run.json says."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from hpcopt.annotations import shown
from hpcopt.fabric.interface import Cluster
from hpcopt.runs.description import calibration_of, origin_of
from hpcopt.spec.fingerprint import identity
from hpcopt.spec.labels import flat
from hpcopt.spec.specification import Specification, as_toml_dict
from hpcopt.version import __version__

_KEYS = ("cluster", "nodes", "calibration", "solver_file", "solver_package")  # of run.json
_APART = ("checkpoint", "watchdog")  # tables that change nothing in a run's folder


def wanted(spec: Specification, cluster: Cluster, apart: Collection[str] = ()) -> dict[str, Any]:
    """Return what identifies the run of a specification of one solver on a cluster, by key.

    Parameters
    ----------
    apart
        Keys, and tables, that may differ.
    """
    (variant,) = spec.variants
    described = {
        "hpcopt": __version__,
        "specification": as_toml_dict(spec),
        "cluster": cluster.kind,
        "nodes": cluster.size,
        **calibration_of(spec, cluster),
        **origin_of(variant.solver),
    }
    return told(json.loads(json.dumps(described)), apart)


def told(described: Mapping[str, Any], apart: Collection[str] = ()) -> dict[str, Any]:
    """Return the same of a run.json; the folder may have been moved."""
    keys = {"hpcopt": described.get("hpcopt"), **identity(described["specification"], apart=(*_APART, *apart))}
    keys |= dict(flat({key: described[key] for key in _KEYS if key in described}))
    return {key: value for key, value in keys.items() if key not in {"output.folder", *apart}}


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first difference in words; empty if there is none."""
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            was, now = ("not given" if value is None else shown(value) for value in (old.get(key), new.get(key)))
            return f"{key} was {was}, and is {now}"
    return ""
