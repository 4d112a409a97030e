"""Reads the file of a calibration, with errors that name file, line and key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpcopt.errors import InputError
from hpcopt.fabric.calibration import Calibration, Overhead
from hpcopt.spec.toml_file import read_tables
from hpcopt.spec.validation import checked


def read_calibration(path: str | Path) -> Calibration:
    """Return the calibration in the file `path`.

    Raises
    ------
    InputError
        With file, line and key, for a file that is missing, is not TOML or has other keys or values.
    """
    tables, origin = read_tables(path)
    if not tables:
        raise InputError(f"{path}: is empty; expected a calibration, as `hpcopt calibrate` writes it")
    solvers = tables.pop("solvers", {})
    if not isinstance(solvers, dict):
        raise origin.error(("solvers",), "expected a table for each solver")
    overhead = {name: checked(own, Overhead, ("solvers", name), origin) for name, own in solvers.items()}
    return replace(checked(tables, Calibration, (), origin), solvers=overhead)
