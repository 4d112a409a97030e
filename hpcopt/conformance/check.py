"""The definition of a check: a property as a sentence, the solvers it applies to, and the settings to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcopt.solvers import Solver

Kind = type[Solver[Any]]


def asked_of_all(kind: Kind) -> str | None:  # noqa: ARG001
    """Return None: the check applies to every solver."""
    return None


class PropertyError(AssertionError):
    """A property does not hold; the message gives the actual and the expected result."""


@dataclass(frozen=True)
class Check:
    """One property that solvers must have.

    Parameters
    ----------
    body
        Called with a solver's class and one setting; raises `PropertyError` if the property does not hold there. Its
        name is the property as a sentence.
    settings
        Name in messages -> setting to try.
    not_asked
        Given a solver's class with its declarations, returns why the property does not apply to it, or None.
    """

    body: Callable[..., None]
    settings: Mapping[str, Any]
    not_asked: Callable[[Kind], str | None]

    @property
    def sentence(self) -> str:
        """The property in words."""
        words = self.body.__name__.replace("_", " ")
        return words[0].upper() + words[1:]

    def run(self, kind: Kind, setting: str) -> None:
        """Check `kind` in one setting.

        Raises
        ------
        PropertyError
            If the property does not hold: the setting, the actual and the expected result. Exceptions of the solver
            pass through.
        """
        try:
            self.body(kind, self.settings[setting])
        except PropertyError as error:
            raise PropertyError(f"on {setting}: {error}") from None


def made(kind: Kind, **wanted: Any) -> Solver[Any]:
    """Return a solver with default parameters, except for those in `wanted` that it has."""
    return kind(**{name: value for name, value in wanted.items() if has(kind, name)})


def has(kind: Kind, parameter: str) -> bool:
    """Return whether solvers of this kind have a parameter with this name."""
    return any(field.name == parameter for field in dataclasses.fields(kind))  # type: ignore[arg-type]


def expect(holds: object, message: str) -> None:
    """Raise `PropertyError(message)` unless `holds`."""
    if not holds:
        raise PropertyError(message)


def expect_near(what: str, found: float, wanted: float, *, rel: float, least: float = 1e-12) -> None:
    """Expect a number within a relative error `rel` of `wanted`, or an absolute one of `least` if that is larger."""
    expect(
        abs(found - wanted) <= max(rel * abs(wanted), least),
        f"{what} is {found:.15g}, expected {wanted:.15g} to {rel:g} of it (it is {abs(found - wanted):.2g} away)",
    )


def expect_close(
    what: str, found: NDArray[np.float64], wanted: NDArray[np.float64], *, rtol: float = 0.0, atol: float = 0.0
) -> None:
    """Expect each number of an array within atol + rtol |wanted|; without tolerances, bitwise equal."""
    expect(found.shape == wanted.shape, f"{what} has shape {found.shape}, expected {wanted.shape}")
    off = ~np.isclose(found, wanted, rtol=rtol, atol=atol, equal_nan=True)
    if not off.any():
        return
    place = int(np.flatnonzero(off)[0])
    how = f"within {atol:g} + {rtol:g} |it|" if rtol or atol else "to the last bit"
    raise PropertyError(
        f"{what}: {np.count_nonzero(off)} of {off.size} numbers differ; number {place} is {found.flat[place]:.17g}, "
        f"expected {wanted.flat[place]:.17g} {how}"
    )


def expect_same_rows(what: str, found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Expect bitwise equal rows of a trace."""
    expect(len(found) == len(wanted), f"{what} has {len(found)} rows, expected {len(wanted)}")
    for place, (row, other) in enumerate(zip(found, wanted, strict=True)):
        for key in row.keys() | other.keys():
            expect(
                row.get(key) == other.get(key),
                f"{what}: in row {place} {key} is {row.get(key)}, expected {other.get(key)}",
            )
