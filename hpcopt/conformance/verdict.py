"""The verdict on one property of one solver, unless the solver ends or blocks the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hpcopt.conformance.check import Check, Kind, PropertyError
from hpcopt.fabric.virtual.events import DeadlockError
from hpcopt.solvers.outside import line_in, told


@dataclass(frozen=True)
class Verdict:
    """The result of a check.

    Attributes
    ----------
    why
        The reason in one line; empty if the property holds.
    """

    solver: str
    property: str
    verdict: Literal["holds", "fails", "not asked"]
    why: str = ""


def judged(check: Check, name: str, kind: Kind, path: str) -> Verdict:
    """Return the verdict on the solver `kind` with this name, from the file `path`, in all settings of `check`."""
    setting = ""
    try:
        why = check.not_asked(kind)
        if why is not None:
            return Verdict(name, check.sentence, "not asked", why)
        for setting in check.settings:
            check.run(kind, setting)
    except PropertyError as error:
        return Verdict(name, check.sentence, "fails", str(error))
    except BaseException as error:  # including SystemExit
        where = f"on {setting}: " if setting else ""
        return Verdict(name, check.sentence, "fails", f"{where}{_raised(error, path)}")
    return Verdict(name, check.sentence, "holds")


def _raised(error: BaseException, path: str) -> str:
    if isinstance(error, DeadlockError):
        return f"{error}: all nodes must make the same calls in the same order"
    line = line_in(path, error)
    return told(error) + (f" ({path}{line})" if line else "")
