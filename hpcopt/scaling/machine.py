"""The machine of a study in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GB = 1e9


def machine(described: Mapping[str, Any]) -> dict[str, str]:
    """Return what a reader has to know of the machine, given the run.json of a point: key -> value."""
    environment = described.get("environment") or {}
    told: dict[str, str] = {}
    for host in environment.get("hosts", []):
        name = f"host {host.get('host', '')} (ranks {host.get('ranks', '')})"
        memory = host.get("memory")
        parts = (
            _text(host.get("cpu")),
            f"{_text(host.get('cores'))} cores may be used, of {_text(host.get('logical_cores'))} logical ones",
            f"{memory / _GB:.3g} GB" if isinstance(memory, (int, float)) else "",
            _text(host.get("system")),
            f"BLAS threads: {_text(host.get('threads'))}",
        )
        told[name] = "; ".join(part for part in parts if part)
    told |= {key: _text(described.get(key)) for key in ("mpi", "hpcopt", "python", "versions")}
    told |= {key: _text(environment.get(key)) for key in ("launcher", "variables", "commits")}
    return {key: value for key, value in told.items() if value}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(dict.fromkeys(_text(one) for one in value))
    return str(value)
