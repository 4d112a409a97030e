"""Numbers as people write them, and parts of a quantity that is known only later: "0.5/n" of 1/n, "0.1/L" of 1/L.

A number is decimal, in the digits 0 to 9; Python would read 1_0, digits of other scripts and "infinity" as well.
"""

from __future__ import annotations

import math
import re

_UNSIGNED = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(rf"\s*[+-]?{_UNSIGNED}\s*")
_WHOLE = re.compile(r"\s*[+-]?[0-9]{1,4000}\s*")  # Python converts no more than 4,300 digits
_PORTION = re.compile(rf"\s*(?P<c>{_UNSIGNED})\s*/\s*(?P<of>\w+)\s*")


def number(text: str) -> float | None:
    """Return the finite number that a text is, None where it is none."""
    return value if _NUMBER.fullmatch(text) and math.isfinite(value := float(text)) else None


def whole(text: str) -> int | None:
    """Return the integer that a text is, None where it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None


def portion(text: object, of: str) -> float | None:
    """Return c of the text "c/n", where `of` is "n": a finite number, at least 0; None where `text` is no such text."""
    found = _PORTION.fullmatch(text) if isinstance(text, str) else None
    return number(found["c"]) if found and found["of"] == of else None


def quantity(value: object) -> tuple[float, str] | None:
    """Return a number, or the c of "c/n", with its unit: "" or "1/n"; None where `value` is neither."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value), ""
    found = _PORTION.fullmatch(value) if isinstance(value, str) else None
    c = number(found["c"]) if found else None
    return (c, f"1/{found['of']}") if found and c is not None else None
