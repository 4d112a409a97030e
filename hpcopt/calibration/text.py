"""A calibration as the text of its file, in TOML, and in a few words."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from hpcopt.fabric.calibration import Calibration, Curve, Links
from hpcopt.topology.hubs.network import counted

DIGITS = 4


def toml(calibration: Calibration) -> str:
    """Return the text of the file, which `hpcopt.spec.calibration_file` reads."""
    lines = ['# The speed of a cluster, measured by `hpcopt calibrate`; [cluster] calibration = "THIS FILE" uses it.']
    _table(lines, "", dataclasses.asdict(calibration))
    return "\n".join(lines) + "\n"


def _table(lines: list[str], name: str, table: dict[str, Any]) -> None:
    """Append a table: its own keys first, then the tables in it."""
    own = {key: value for key, value in table.items() if not isinstance(value, dict) and value is not None}
    if own and name:
        lines += ["", f"[{name}]"]
    lines += [f"{key} = {_value(value)}" for key, value in own.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            _table(lines, f"{name}.{key}" if name else key, value)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e6):
        return f"{int(value)}"
    return f"{value:.{DIGITS}g}"


def words(calibration: Calibration) -> list[str]:
    """Return lines for the user: what was measured, in a few numbers."""
    found, pace = calibration.measured, calibration.overhead
    place = f"{counted(found.ranks, 'rank')} on {counted(found.hosts, 'host')}"
    lines = [f"{found.machine}; {place}; measured in {found.seconds:.0f} s"]
    for storage, kernels in (("dense", calibration.dense), ("sparse", calibration.sparse)):
        rates = kernels.gradient.rates
        told = ", ".join(f"{rate / 1e9:.3g} at {size / 2**20:.3g} MiB" for size, rate in rates)
        lines.append(
            f"{storage} rows, loss and gradient: {told} (GFLOP/s), {1e6 * kernels.gradient.call:.2g} us a call"
        )
    lines.append(f"solvers' own code: {1e6 * pace.event:.2g} us between two calls or operations")
    for name, links in (("within a host", calibration.within), ("between hosts", calibration.between)):
        if links is not None:
            lines.append(f"{name}, {links.ranks} ranks: {_link_words(links)}")
    return lines


def _link_words(links: Links) -> str:
    alpha, beta, residual = alpha_beta(links.sum)
    return (
        f"a sum takes {1e6 * alpha:.3g} us + {1e9 * beta:.3g} ns a byte (within {100 * residual:.0f} %); "
        f"quartiles of a measurement are up to {100 * links.residual:.0f} % from its median"
    )


def alpha_beta(curve: Curve) -> tuple[float, float, float]:
    """Return alpha and beta of seconds = alpha + beta * bytes, by least squares of relative errors, and the largest."""
    sizes, seconds = np.array(curve).T
    A = np.column_stack((np.ones(len(sizes)), sizes)) / seconds[:, None]
    (alpha, beta), *_ = np.linalg.lstsq(A, np.ones(len(sizes)), rcond=None)
    return float(alpha), float(beta), float(np.abs(A @ (alpha, beta) - 1.0).max())
