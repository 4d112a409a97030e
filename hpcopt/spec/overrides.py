"""`--set key.path=value`: changes to a specification from the command line.

Values are TOML (`true`, `3`, `[1, 2]`, `"1/n"`); anything else is text, so that quotes are rarely needed. A value that
begins with a quote must be a TOML string: as text, a path with a wrong escape would silently become another path.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hpcopt.annotations import KeyPath
from hpcopt.errors import InputError
from hpcopt.portions import number
from hpcopt.spec.toml_lines import DEEPEST, parsed
from hpcopt.spec.toml_text import toml_string


class Override(str):
    """An override that was not given by `--set`.

    Parameters
    ----------
    text
        `key.path=value`.
    given
        What gave it, for messages: "--virtual 4".
    """

    given: str

    def __new__(cls, text: str, given: str) -> Override:
        """Return the text with what gave it."""
        own = super().__new__(cls, text)
        own.given = given
        return own


def apply_overrides(tables: dict[str, Any], overrides: Iterable[str]) -> dict[KeyPath, str]:
    """Change `tables` in place; return by the path that it sets what gave each override: "--set key.path=value".

    Raises
    ------
    InputError
        For a missing `=`, an empty name, an index out of a list's range, a key inside something that is not a table,
        or a quoted value that is not a TOML string.
    """
    origins: dict[KeyPath, str] = {}
    for text in overrides:
        given = text.given if isinstance(text, Override) else f"--set {text}"
        key, equals, value = text.partition("=")
        names = [name.strip() for name in key.split(".")]
        if not equals or not all(names):
            raise InputError(f"{given}: expected key.path=value, as in solver.local_steps=2")
        if len(names) > DEEPEST:
            raise InputError(f"{given}: {len(names)} names in the path; expected at most {DEEPEST}")
        origins[_put(tables, names, _value(value, given), given)] = given
    return origins


def override(key: str, value: str) -> str:
    """Return the override that sets `key` to the text `value`, which may contain any character of a path."""
    return f"{key}={toml_string(value)}"


def _put(tables: dict[str, Any], names: list[str], value: object, given: str) -> KeyPath:
    """Set the key `names` of `tables`, creating tables as needed; return its path."""
    path: KeyPath = ()
    here: Any = tables
    for depth, name in enumerate(names):
        step = _step(here, name, path, given)
        path = (*path, step)
        if depth == len(names) - 1:
            here[step] = value
        else:
            here = here.setdefault(step, {}) if isinstance(here, dict) else here[step]
    return path


def _step(here: object, name: str, path: KeyPath, given: str) -> str | int:
    """Return `name` as a key if `here` is a table, or as an index if it is a list."""
    if isinstance(here, dict):
        return name
    outer = ".".join(map(str, path))
    if not isinstance(here, list):
        raise InputError(f"{given}: {outer} is not a table and has no key '{name}'")
    if not (name.isdecimal() and int(name) < len(here)):
        raise InputError(f"{given}: {outer} is a list with indices 0 to {len(here) - 1}, got '{name}'")
    return int(name)


def _value(value: str, given: str) -> object:
    """Return the TOML value in `value`, or `value` itself if it is not one (dates are text, too)."""
    try:
        tables = parsed(f"value = {value}")
    except ValueError:
        if value.lstrip()[:1] in {'"', "'"}:
            raise InputError(f"{given}: expected a TOML string, or text without quotes") from None
        return _text(value)
    found = tables["value"]
    known = isinstance(found, (bool, int, float, str, list, dict))
    return found if known and len(tables) == 1 else _text(value)


def _text(text: str) -> float | str:
    """Return the number that a person may write and TOML may not (.5, 5., 01), or the text."""
    value = number(text)
    return text.strip() if value is None else value
