"""Parts of a quantity that is known only later, as people write them: "0.5/n" of 1/n, "0.1/L" of 1/L."""

from __future__ import annotations

import re

_PORTION = re.compile(r"\s*(?P<c>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*/\s*(?P<of>\w+)\s*")


def portion(text: object, of: str) -> float | None:
    """Return c of the text "c/n", where `of` is "n": a number, at least 0; None where `text` is no such text."""
    found = _PORTION.fullmatch(text) if isinstance(text, str) else None
    return float(found["c"]) if found and found["of"] == of else None
