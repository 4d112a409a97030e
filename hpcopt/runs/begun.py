"""The specification of a run that has begun, from its folder: the run goes on with it there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hpcopt.annotations import plain
from hpcopt.errors import InputError, Remedy
from hpcopt.results import checked
from hpcopt.results import folder as folders
from hpcopt.runs.identity import difference, told
from hpcopt.runs.resuming import MAY_DIFFER
from hpcopt.spec.overrides import apply_overrides, override
from hpcopt.spec.specification import Specification, specification_from


def begun(folder: Path, overrides: Iterable[str], out: str | Path | None) -> Specification:
    """Return the specification of the run in a folder, which is to go on there.

    Parameters
    ----------
    overrides
        `key.path=value` each.
    out
        Another folder that was given for it; None if none was.

    Raises
    ------
    InputError
        If there is no run in the folder, or another one is asked for.
    """
    if out is not None and Path(out).resolve() != folder.resolve():
        raise InputError(f"{folder}: the run in it is resumed there; leave out the other folder, {out}")
    try:
        described = checked.description(folder / folders.RUN)
    except FileNotFoundError:
        raise InputError(f"{folder}: no run here ({folders.RUN} is missing)") from None
    changes, name = list(overrides), str(folder / folders.RUN)
    try:
        return specification_from(
            described["specification"],
            [*changes, override("output.folder", str(folder))],
            name=name,
            beside=Path(described.get("environment", {}).get("folder", "")),
        )
    except InputError as error:
        change = _change(described, changes) if error.message.startswith(name) else ""
        if change:  # the file is right: the overrides do not fit the rest of it
            raise InputError(f"{folder}: holds another run: {change}", Remedy.AFRESH) from None
        raise


def _change(described: Mapping[str, Any], overrides: Iterable[str]) -> str:
    """Return in words the first key of a run that must stay as it is, and is overridden; empty if there is none."""
    tables = plain(described["specification"])
    apply_overrides(tables, overrides)
    old, new = (told({**described, "specification": each}, MAY_DIFFER) for each in (described["specification"], tables))
    return difference(old, {key: new.get(key, value) for key, value in old.items()})
