"""Names that users type, and what stands behind them: one registry a kind, one line to register.

The command line, the specification, the documentation's tables and the conformance tests all read the
registries, so a part exists everywhere the moment it is registered.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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
            self.enter(name, entry)  # type: ignore[arg-type]
            entry.name = name  # type: ignore[attr-defined]
            return entry

        return enter

    def enter(self, name: str, entry: T) -> None:
        """Enter `entry` under `name`; raises `InputError` where another one has the name."""
        if name in self._entries:
            home = getattr(self._entries[name], "__module__", "?")
            raise InputError(f"{self.kind} '{name}' is there already (in {home}); take another name")
        self._entries[name] = entry

    def forget(self, names: Iterable[str]) -> None:
        """Take the entries of these names out; those that are not there are left alone."""
        for name in names:
            self._entries.pop(name, None)

    @contextmanager
    def aside(self) -> Iterator[dict[str, T]]:
        """Collect what is registered inside, and take it out again at the end, where what is yielded holds it."""
        before, new = dict(self._entries), dict[str, T]()
        try:
            yield new
        finally:
            new.update({name: entry for name, entry in self._entries.items() if name not in before})
            self._entries = before

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
