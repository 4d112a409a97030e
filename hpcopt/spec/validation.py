"""From plain tables to checked objects, with errors in the user's terms.

`hpcopt.annotations` reports the error in a value and its path; this module adds the file and line, or the option,
that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import msgspec.inspect as kinds

from hpcopt.annotations import KeyPath, explained, inside, keys_of, unusable
from hpcopt.errors import InputError
from hpcopt.registry import nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Origin:
    """The origin of values; every message about them begins with it.

    Parameters
    ----------
    name
        The file as the user named it; empty for tables from Python.
    lines
        The line of every key of that file.
    overrides
        Path -> the option that set it, with its value.
    """

    name: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)

    def error(self, path: KeyPath, message: str) -> InputError:
        """Return the error with `message` about the key at `path`."""
        outwards = [path[:length] for length in range(len(path), 0, -1)]  # the key, its table, ...
        key = ".".join(map(str, path))
        for around in outwards:
            if around in self.overrides:
                return _one_line(self.overrides[around], "" if around == path else key, message)
        if path not in self.lines:
            for inside, given in self.overrides.items():
                if inside[: len(path)] == path:
                    return _one_line(given, key, message)
        line = next((self.lines[around] for around in outwards if around in self.lines), None)
        return _one_line(self.name if line is None else f"{self.name}, line {line}", key, message)


def checked(value: object, kind: type[T], path: KeyPath = (), origin: Origin | None = None) -> T:
    """Convert `value`, tables and lists from TOML, to an object of type `kind`.

    Parameters
    ----------
    value
        The user's value.
    kind
        A `msgspec.Struct` or dataclass; its `__post_init__` may raise `InputError("field: what is wrong")`.
    path
        The path of `value` in the specification.
    origin
        The origin of `value`.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a wrong type, a value out of range, or a missing key.
    """
    origin = origin or Origin()
    info = kinds.type_info(kind)
    for where, message in _unknown_keys(info, value):
        raise origin.error((*path, *where), message)
    for where, message in unusable(value):
        raise origin.error((*path, *where), message)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        where, message = explained(error, info, value)
        raise origin.error((*path, *where), message) from None


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Return the message about an unknown key."""
    guess = nearest(name, known)
    if guess:
        return f"unknown key{guess}"
    return f"unknown key (known: {', '.join(known)})" if known else "unknown key; there are no keys but name"


def _one_line(*parts: str) -> InputError:
    return InputError(": ".join(part for part in parts if part))


def _unknown_keys(info: kinds.Type, value: object) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, dict):
        known = keys_of(info)
        if known is None:
            return
        for name, item in value.items():
            if name not in known:
                yield (name,), unknown_key(name, list(known))
            else:
                yield from (((name, *path), message) for path, message in _unknown_keys(known[name], item))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            inner = inside(info, place)
            if inner is not None:
                yield from (((place, *path), message) for path, message in _unknown_keys(inner, item))
