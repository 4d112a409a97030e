"""Names that users type, and what stands behind them: one registry a kind, one line to register.

The command line, the specification, the documentation's tables and the conformance tests all read the
registries, so a part exists everywhere the moment it is registered.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from hpcopt.errors import InputError

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name closest to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


class Registry(Generic[T]):
    """The parts of one kind by name.

    Parameters
    ----------
    kind
        What one entry is called in messages: "solver", "loss", ...
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[type], type]:
        """Return the class decorator that enters a class under `name` and gives it the attribute `name`."""

        def enter(entry: type) -> type:
            if name in self._entries:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            entry.name = name  # type: ignore[attr-defined]
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """Return the entry; raises `InputError` naming the nearest known name."""
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self)
            raise InputError(f"unknown {self.kind} '{name}'{nearest(name, self)} (known: {known})") from None

    def __contains__(self, name: object) -> bool:
        """Tell whether `name` is registered."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the alphabet."""
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)
