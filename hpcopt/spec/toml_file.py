"""A TOML file as plain tables, with the origin of every key: what a specification or a study is checked from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hpcopt.errors import InputError
from hpcopt.files import text_of
from hpcopt.spec.overrides import apply_overrides
from hpcopt.spec.toml_lines import key_lines, parsed
from hpcopt.spec.validation import Origin

_TOML_PLACE = re.compile(r"(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)", re.DOTALL)


def read_tables(path: str | Path, overrides: Iterable[str] = ()) -> tuple[dict[str, Any], Origin]:
    """Return the tables of the TOML file `path` with the overrides, not checked yet, and their origin, for messages.

    Raises
    ------
    InputError
        With file, line and column, for a file that cannot be read or is not TOML.
    """
    text = _read(path)
    try:
        tables = parsed(text)
    except ValueError as error:
        raise InputError(f"{path}{_syntax(str(error))}") from None
    return tables, Origin(str(path), key_lines(text), apply_overrides(tables, overrides))


def _read(path: str | Path) -> str:
    """Return the text of the file, without the byte order mark that some editors put first."""
    try:
        return text_of(Path(path), "utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a TOML file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; expected a TOML file") from None


def _syntax(message: str) -> str:
    """Return the rest of the line about a syntax error, from tomllib's message."""
    place = _TOML_PLACE.fullmatch(message)
    what = place["what"] if place else message
    where = f", line {place['line']}, column {place['column']}" if place else ""
    return f"{where}: invalid TOML: {what[:1].lower()}{what[1:]}"
