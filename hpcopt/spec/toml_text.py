"""Plain tables as the text of a TOML file, which reading turns into the same tables again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(tables: Mapping[str, Any], comment: str = "") -> str:
    """Return the text: keys first, then the tables; tables inside tables are in one line each.

    Parameters
    ----------
    tables
        Texts, numbers, truth values, lists and tables of these; nothing is None.
    comment
        A line above everything.
    """
    plain = [(key, value) for key, value in tables.items() if not _is_table(value)]
    lines = [f"# {comment}"] if comment else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in plain]
    for key, value in tables.items():
        if _is_table(value):
            lines += ["", f"[{_key(key)}]", *(f"{_key(name)} = {_value(item)}" for name, item in value.items())]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_string(name)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    return str(value) if isinstance(value, int) else toml_string(str(value))


def toml_string(value: str) -> str:
    """Return a TOML string, of any characters."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # which JSON does not escape, and TOML does
