"""Tables of settings: frozen dataclasses whose annotations define the allowed values of each key.

Tables from files and from Python are checked alike, with the same messages: `check_types` reads the annotations
(`Annotated[int, Meta(ge=1)]`) and derives messages from them, so a new key needs neither a check nor a message of its
own. Conditions between keys are in the table's `__post_init__`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, get_origin, get_type_hints

import msgspec
import msgspec.inspect as kinds
import numpy as np
from msgspec import Meta

from hpcopt.errors import InputError
from hpcopt.registry import Registry, nearest

KeyPath = tuple[str | int, ...]
"""Names of tables and keys, and indices into lists: ("solvers", 0, "local_steps")."""

Positive = Annotated[float, Meta(gt=0)]
AtLeastZero = Annotated[float, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=1)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]

_LONGEST_SHOWN = 60  # most characters of a bad value in a message
_MOST_KEYS = 6  # most keys of a table that a message names
_AT = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<place>\d+)\]")
_MISSING = re.compile(r"missing required field `(?P<name>.+?)`")
_KEY_FIRST = re.compile(r"(?P<key>[A-Za-z_][\w.]*): (?P<rest>.*)", re.DOTALL)


def check_types(table: object) -> None:
    """Raise an error for a table (an instance of a frozen dataclass) with a value that its annotations do not allow.

    Lists are converted to tuples, and integers to floats, according to the annotations. Must be called first in
    `__post_init__`.

    Raises
    ------
    InputError
        "key: what is allowed, what was given".
    """
    for name, hint in get_type_hints(type(table), include_extras=True).items():
        if get_origin(hint) is ClassVar:
            continue
        given = plain(getattr(table, name))
        try:
            for where, message in unusable(given):
                raise _refusal((name, *where), message)
            fill(table, **{name: msgspec.convert(given, hint)})
        except msgspec.ValidationError as error:
            where, message = explained(error, kinds.type_info(hint), given)
            raise _refusal((name, *where), message) from None


def fill(table: object, **values: Any) -> None:
    """Set keys of a frozen table during its construction: defaults that depend on other keys."""
    for name, value in values.items():
        object.__setattr__(table, name, value)


def plain(value: Any) -> Any:
    """Convert tables and lists from Python (tuples, paths, numpy's numbers) to the types that TOML gives."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def no_such(given: str, known: Iterable[str]) -> str:
    """Return the message about an unknown name."""
    names = ", ".join(f'"{name}"' for name in known)
    return f'expected one of {names}, got "{given}"{nearest(given, known)}'


def shown(value: object) -> str:
    """Format `value` as in TOML, shortened."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (bool, str, int, float, list)):
        text = json.dumps(value, ensure_ascii=False, default=str)
        text = text if text.isprintable() else json.dumps(value, default=str)
        text = text.replace("NaN", "nan").replace("Infinity", "inf") if isinstance(value, float) else text
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
    return f"{type(value).__name__} {value}"


def unusable(value: object) -> Iterator[tuple[KeyPath, str]]:
    """Yield path and message of every number inside `value` that is NaN or infinite, and every text with a null."""
    if isinstance(value, float) and not math.isfinite(value):
        yield (), f"expected a finite number, got {shown(value)}"
    elif isinstance(value, str) and "\0" in value:  # no name of a file, or of anything else, holds one
        yield (), f"expected text without null characters, got {shown(value)}"
    elif isinstance(value, (dict, list)):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from (((name, *path), message) for path, message in unusable(item))


def explained(error: msgspec.ValidationError, info: kinds.Type, value: Any) -> tuple[KeyPath, str]:
    """Return the path of the error inside `value`, and a message about it."""
    text = str(error)
    at = _AT.search(text)
    told, unnamed, _ = (at["path"] if at else "").partition("[...]")  # msgspec doesn't name the keys of a free table
    path: KeyPath = ()
    for found in _STEP.finditer(told):
        path = (*path, found["name"] or int(found["place"]))
    if isinstance(error.__cause__, ValueError):
        return _told_by_the_object(str(error.__cause__), info, path)
    missing = _MISSING.search(text)
    if missing:
        path = (*path, missing["name"])
        return path, f"missing; expected {allowed(_type_at(info, path))}"
    if unnamed:
        return path, f"one of its entries is wrong: {text[: at.start()].lower() if at else text}"
    kind = _type_at(info, path)
    given = value
    for step in path:
        given = given[step]
    guess = nearest(given, choices(kind)) if isinstance(given, str) else ""
    return path, f"expected {allowed(kind)}, got {shown(given)}{guess}"


def keys_of(info: kinds.Type | None) -> dict[str, kinds.Type] | None:
    """Return the types of the keys of the table that `info` allows; None if it allows any key, or no table."""
    if isinstance(info, (kinds.StructType, kinds.DataclassType)):
        return {field.encode_name: field.type for field in info.fields}
    for part in _parts(info):
        fields = keys_of(part)
        if fields is not None:
            return fields
    return None


def inside(info: kinds.Type | None, step: str | int) -> kinds.Type | None:
    """Return the type of the key or item `step` of a value of type `info`; None if it has none."""
    if isinstance(step, int) and isinstance(info, (kinds.ListType, kinds.VarTupleType)):
        return info.item_type
    if isinstance(step, str) and isinstance(info, (kinds.StructType, kinds.DataclassType)):
        return (keys_of(info) or {}).get(step)
    if isinstance(step, str) and isinstance(info, kinds.DictType):
        return info.value_type
    return next((found for part in _parts(info) if (found := inside(part, step)) is not None), None)


def named(names: Iterable[str], otherwise: str = "") -> Meta:
    """Return the annotation for text that is one of `names` (possibly a registry); the table itself checks it.

    Parameters
    ----------
    otherwise
        A description of other allowed values.
    """
    return Meta(extra={"names": names, "otherwise": otherwise})


def choices(info: kinds.Type | None) -> Iterable[str]:
    """Return the allowed names for a value of type `info`; a registry if they are all of its names."""
    if isinstance(info, kinds.LiteralType):
        return [str(value) for value in info.values]
    names: Iterable[str] | None = _extra(info, "names")
    if names is not None:
        return names
    found = [own for part in _parts(info) if (own := choices(part))]
    return found[0] if len(found) == 1 else [choice for own in found for choice in own]


def allowed(info: kinds.Type | None) -> str:
    """Describe the values that `info` allows."""
    told = _extra(info, "words") or _told_names(_extra(info, "names"), _extra(info, "otherwise"))
    if told:
        return str(told)
    if isinstance(info, (kinds.Metadata, kinds.UnionType)):
        *most, last = map(allowed, _parts(info))
        return f"{', '.join(most)} or {last}" if most else last
    return _one_kind(info)


def _one_kind(info: kinds.Type | None) -> str:
    words = "a table"
    match info:
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
            words = f"a list{' that is not empty' if info.min_length else ''} (each item: {allowed(item)})"
        case kinds.CustomType(cls=part):
            words = f"a {part.__name__.lower()}"
        case kinds.DataclassType(fields=fields) if len(fields) <= _MOST_KEYS:
            words = f"a table {{ {', '.join(field.name for field in fields)} }}"
    return words


def _refusal(path: KeyPath, message: str) -> InputError:
    return InputError(f"{'.'.join(map(str, path))}: {message}")


def _told_by_the_object(message: str, info: kinds.Type, path: KeyPath) -> tuple[KeyPath, str]:
    """Move the key at the beginning of an object's own message to the path.

    The key in "local_steps: at least 1, got 0" is relative to the object, in "data.classes: ..." to the specification.
    """
    begun = _KEY_FIRST.match(message)
    if begun:
        key = tuple(begun["key"].split("."))
        for whole in ((*path, *key), key):
            if _type_at(info, whole) is not None:
                return whole, begun["rest"]
    return path, message


def _parts(info: kinds.Type | None) -> tuple[kinds.Type, ...]:
    if isinstance(info, kinds.UnionType):
        return tuple(part for part in info.types if not isinstance(part, kinds.NoneType))
    return (info.type,) if isinstance(info, kinds.Metadata) else ()


def _type_at(info: kinds.Type | None, path: KeyPath) -> kinds.Type | None:
    for step in path:
        info = inside(info, step)
    return info


def _extra(info: kinds.Type | None, key: str) -> Any:
    return (info.extra or {}).get(key) if isinstance(info, kinds.Metadata) else None


def _told_names(names: Iterable[str] | None, otherwise: str) -> str:
    if isinstance(names, Registry):
        return f"the name of a {names.kind}"
    if names is None:
        return ""
    return f"one of {', '.join(map(shown, names))}{' or ' if otherwise else ''}{otherwise}"


def _bounds(info: kinds.FloatType | kinds.IntType) -> str:
    signs = ((">", info.gt), (">=", info.ge), ("<", info.lt), ("<=", info.le))
    bounds = [f"{sign} {limit:g}" for sign, limit in signs if limit is not None]
    return f" {' and '.join(bounds)}" if bounds else ""
