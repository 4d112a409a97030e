"""Time limits as SLURM writes them."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta

_FORMS = (
    re.compile(r"(?P<minutes>\d+)(:(?P<seconds>\d+))?"),
    re.compile(r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<days>\d+)-(?P<hours>\d+)(:(?P<minutes>\d+)(:(?P<seconds>\d+))?)?"),
)
_SECONDS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}

FORMS = "a time: minutes, M:S, H:M:S or D-H:M:S"

Duration = Annotated[str, Meta(pattern=r"^(\d{1,9}(:\d\d?){0,2}|\d{1,5}-\d\d?(:\d\d?){0,2})$", extra={"words": FORMS})]
"""A time limit in one of SLURM's forms; `1:00` is one minute, `1:00:00` an hour."""


def seconds(duration: str) -> int:
    """Return the seconds of a `Duration`."""
    found = next(match for form in _FORMS if (match := form.fullmatch(duration)))
    return sum(int(number or 0) * _SECONDS[unit] for unit, number in found.groupdict().items())
