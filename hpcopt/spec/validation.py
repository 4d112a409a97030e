"""From plain tables to checked objects, with errors in a user's words.

msgspec knows what is wrong and at which path; a person wants the file, the line, the key, what was given and
what would be right, in one line. Types are described from their annotations, so that a new field needs no
message of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as kinds
import numpy as np

from hpcopt.errors import InputError
from hpcopt.registry import nearest
from hpcopt.spec.toml_lines import KeyPath

T = TypeVar("T")

_LONGEST_SHOWN = 60  # characters of a bad value repeated in a message
_AT = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<place>\d+)\]")
_MISSING = re.compile(r"missing required field `(?P<name>.+?)`")
_KEY_FIRST = re.compile(r"(?P<key>[A-Za-z_][\w.]*): (?P<rest>.*)", re.DOTALL)


@dataclass(frozen=True)
class Origin:
    """Where the values came from; begins every message about them.

    Parameters
    ----------
    name
        The file as the person named it; empty for tables made in Python.
    lines
        The line of every key of that file.
    overrides
        The text of each `--set`, by the path that it set.
    """

    name: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overrides: Mapping[KeyPath, str] = field(default_factory=dict)

    def error(self, path: KeyPath, message: str) -> InputError:
        """Return the error that tells `message` about the key at `path`."""
        outwards = [path[:length] for length in range(len(path), 0, -1)]  # the key, its table, ...
        key = ".".join(map(str, path))
        for around in outwards:
            if around in self.overrides:
                return _one_line(f"--set {self.overrides[around]}", "" if around == path else key, message)
        if path not in self.lines:
            for inside, text in self.overrides.items():
                if inside[: len(path)] == path:
                    return _one_line(f"--set {text}", key, message)
        line = next((self.lines[around] for around in outwards if around in self.lines), None)
        return _one_line(self.name if line is None else f"{self.name}, line {line}", key, message)


def checked(value: object, kind: type[T], path: KeyPath = (), origin: Origin | None = None) -> T:
    """Return `value`, tables and lists as TOML gives them, as an object of type `kind`.

    Parameters
    ----------
    value
        What a person gave.
    kind
        A `msgspec.Struct` or dataclass; its `__post_init__` may raise `InputError("field: what is wrong")`.
    path
        Where `value` stands in the whole.
    origin
        Where it came from.

    Raises
    ------
    InputError
        An unknown key (with the nearest known one), a wrong type, a value out of range, a missing key.
    """
    origin = origin or Origin()
    info = kinds.type_info(kind)
    for where, message in _unknown_keys(info, value):
        raise origin.error((*path, *where), message)
    for where, message in _not_finite(value):
        raise origin.error((*path, *where), message)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        where, message = _explained(error, info, value)
        raise origin.error((*path, *where), message) from None


def plain(value: Any) -> Any:
    """Return tables and lists made in Python as TOML would have given them (tuples, paths, numpy's numbers)."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Return the message about a key that nobody knows."""
    guess = nearest(name, known)
    return f"unknown key{guess}" if guess else f"unknown key (known: {', '.join(known) or 'none'})"


def shown(value: object) -> str:
    """Return `value` as a person would have written it in TOML, cut short."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (bool, str, int, float, list)):
        text = json.dumps(value, ensure_ascii=False, default=str)
        text = text.replace("NaN", "nan").replace("Infinity", "inf") if isinstance(value, float) else text
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return f"{type(value).__name__} {value}"


def _one_line(*parts: str) -> InputError:
    return InputError(": ".join(part for part in parts if part))


def _unknown_keys(info: kinds.Type, value: object) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, dict):
        known = _fields(info)
        if known is None:
            return
        for name, item in value.items():
            if name not in known:
                yield (name,), unknown_key(name, list(known))
            else:
                yield from (((name, *path), message) for path, message in _unknown_keys(known[name], item))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            inner = _step(info, place)
            if inner is not None:
                yield from (((place, *path), message) for path, message in _unknown_keys(inner, item))


def _not_finite(value: object) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield (), f"expected a finite number, got {shown(value)}"
    elif isinstance(value, (dict, list)):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from (((name, *path), message) for path, message in _not_finite(item))


def _explained(error: msgspec.ValidationError, info: kinds.Type, value: Any) -> tuple[KeyPath, str]:
    """Return the path of what is wrong inside `value`, and what is wrong with it, in words."""
    text = str(error)
    at = _AT.search(text)
    path: KeyPath = ()
    for found in _STEP.finditer(at["path"] if at else ""):
        path = (*path, found["name"] or int(found["place"]))
    if isinstance(error.__cause__, ValueError):
        return _told_by_the_object(str(error.__cause__), info, path)
    missing = _MISSING.search(text)
    if missing:
        path = (*path, missing["name"])
        return path, f"missing; expected {_words(_type_at(info, path))}"
    kind = _type_at(info, path)
    given = value
    for step in path:
        given = given[step]
    guess = nearest(given, _choices(kind)) if isinstance(given, str) else ""
    return path, f"expected {_words(kind)}, got {shown(given)}{guess}"


def _told_by_the_object(message: str, info: kinds.Type, path: KeyPath) -> tuple[KeyPath, str]:
    """Move the key that begins an object's own complaint to the path.

    "local_steps: at least 1, got 0" counts from the object, "data.classes: ..." from the whole.
    """
    begun = _KEY_FIRST.match(message)
    if begun:
        key = tuple(begun["key"].split("."))
        for whole in ((*path, *key), key):
            if _type_at(info, whole) is not None:
                return whole, begun["rest"]
    return path, message


def _fields(info: kinds.Type | None) -> dict[str, kinds.Type] | None:
    """Return the types of the keys of the table that `info` allows; None where it allows any key, or no table."""
    if isinstance(info, (kinds.StructType, kinds.DataclassType)):
        return {field.encode_name: field.type for field in info.fields}
    for part in _parts(info):
        fields = _fields(part)
        if fields is not None:
            return fields
    return None


def _parts(info: kinds.Type | None) -> tuple[kinds.Type, ...]:
    if isinstance(info, kinds.UnionType):
        return tuple(part for part in info.types if not isinstance(part, kinds.NoneType))
    return (info.type,) if isinstance(info, kinds.Metadata) else ()


def _step(info: kinds.Type | None, step: str | int) -> kinds.Type | None:
    """Return the type of the key or item `step` of a value of type `info`, None if it can have none."""
    if isinstance(step, int) and isinstance(info, (kinds.ListType, kinds.VarTupleType)):
        return info.item_type
    if isinstance(step, str) and isinstance(info, (kinds.StructType, kinds.DataclassType)):
        return (_fields(info) or {}).get(step)
    return next((found for part in _parts(info) if (found := _step(part, step)) is not None), None)


def _type_at(info: kinds.Type | None, path: KeyPath) -> kinds.Type | None:
    for step in path:
        info = _step(info, step)
    return info


def _choices(info: kinds.Type | None) -> list[str]:
    if isinstance(info, kinds.LiteralType):
        return [str(value) for value in info.values]
    return [choice for part in _parts(info) for choice in _choices(part)]


def _words(info: kinds.Type | None) -> str:
    """Return what `info` allows, in words."""
    words = "a table"
    match info:
        case kinds.Metadata(type=inner, extra=extra):
            words = (extra or {}).get("words") or _words(inner)
        case kinds.UnionType():
            *most, last = map(_words, _parts(info))
            words = f"{', '.join(most)} or {last}" if most else last
        case kinds.LiteralType(values=values):
            names = ", ".join(map(shown, values))
            words = names if len(values) == 1 else f"one of {names}"
        case kinds.FloatType():
            words = f"a number{_bounds(info)}"
        case kinds.IntType():
            words = f"an integer{_bounds(info)}"
        case kinds.StrType():
            words = "text"
        case kinds.BoolType():
            words = "true or false"
        case kinds.ListType(item_type=item) | kinds.VarTupleType(item_type=item):
            words = f"a list (each item: {_words(item)})"
        case kinds.DataclassType(fields=fields):
            words = f"a table {{ {', '.join(field.name for field in fields)} }}"
    return words


def _bounds(info: kinds.FloatType | kinds.IntType) -> str:
    signs = ((">", info.gt), (">=", info.ge), ("<", info.lt), ("<=", info.le))
    bounds = [f"{sign} {limit:g}" for sign, limit in signs if limit is not None]
    return f" {' and '.join(bounds)}" if bounds else ""
