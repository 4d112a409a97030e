"""Maps the names that users type to classes: one registry per kind, one line to register.

The command line, the specification, the documentation's tables and the conformance tests all read the registries, so a
part is available everywhere once it is registered.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from hpcopt.errors import InputError

if TYPE_CHECKING:
    import importlib.metadata

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"; did you mean 'x'?"` for the known name closest to `name`, in any case, or an empty string."""
    names = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean '{names[close[0]]}'?" if close else ""


class Registry(Generic[T]):
    """The parts of one kind by name: those of this package and, if a name is missing, those of installed packages.

    Parameters
    ----------
    kind
        The name of an entry in messages: "solver", "loss", ...
    group
        The group of entry points by which other packages provide parts; loading one registers them. Empty: none.

    Attributes
    ----------
    broken
        Name of an entry point that could not be loaded -> reason in one line.
    packages
        Name -> package and version that provide it, without those of this package.
    """

    def __init__(self, kind: str, group: str = "") -> None:
        self.kind = kind
        self.broken: dict[str, str] = {}
        self.packages: dict[str, str] = {}
        self._entries: dict[str, T] = {}
        self._group = group

    def register(self, name: str) -> Callable[[type], type]:
        """Return the class decorator that registers a class under `name` and sets its attribute `name`."""

        def enter(entry: type) -> type:
            if not isinstance(name, str) or not name or not name.isprintable():
                raise InputError(f"{name!a} is not a valid name of a {self.kind}")
            if name in self._entries:
                home = self._entries[name].__module__
                there = "registered twice" if home == entry.__module__ else f"already registered (in {home})"
                raise InputError(f"{self.kind} '{name}' is {there}; take another name")
            entry.name = name  # type: ignore[attr-defined]
            self._entries[name] = entry  # type: ignore[assignment]
            return entry

        return enter

    @contextmanager
    def aside(self, module: str) -> Iterator[Registry[T]]:
        """Yield another registry, which finally has, instead of this one, the entries registered by `module` inside."""
        other = Registry[T](self.kind)
        try:
            yield other
        finally:
            for name in [name for name, entry in self._entries.items() if entry.__module__ == module]:
                other._entries[name] = self._entries.pop(name)

    def with_those_of(self, other: Registry[T]) -> Registry[T]:
        """Return a registry with the entries of both; the other's take precedence."""
        both = Registry[T](self.kind)
        both._entries = {**self._all(), **other._all()}
        both.broken = self.broken
        return both

    def __getitem__(self, name: str) -> T:
        """Return the entry; raise `InputError` with the nearest known name, or with the error of its package."""
        if name in self:
            return self._entries[name]
        if name in self.broken:
            raise InputError(self.broken[name])
        known = ", ".join(self)
        raise InputError(f"unknown {self.kind} '{name}'{nearest(name, self)} (known: {known})")

    def __contains__(self, name: object) -> bool:
        """Return whether `name` is registered."""
        return name in self._entries or name in self._all()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in alphabetical order."""
        return iter(sorted(self._all()))

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._all())

    def _all(self) -> dict[str, T]:
        """Return the entries; those of installed packages are loaded at the first call."""
        group, self._group = self._group, ""
        if group:
            import importlib.metadata  # imported only here, so that runs without external packages don't pay for it

            for point in importlib.metadata.entry_points(group=group):
                self._load(point)
        return self._entries

    def _load(self, point: importlib.metadata.EntryPoint) -> None:
        """Load an entry point; an error is recorded, and does not affect other names."""
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "?"
        before = set(self._entries)
        try:
            point.load()
        except (Exception, SystemExit) as error:
            said = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            self.broken[point.name] = f"{self.kind} '{point.name}' of package {package} can't be loaded: {said}"
        self.packages.update(dict.fromkeys(self._entries.keys() - before, package))
        homes = {entry.__module__.split(".")[0] for entry in self._entries.values()}
        if point.module.split(".")[0] not in homes:
            nothing = f"entry point '{point.name}' of package {package} registers no {self.kind}"
            self.broken.setdefault(point.name, nothing)
