"""The kinds of targets that losses require; the data package converts labels to them."""

from __future__ import annotations

import enum


class Targets(enum.Enum):
    """The kinds of targets; the labels of a file become one of them."""

    REAL = "real numbers"
    SIGNS = "two classes"
    """-1 and +1, for labels of two values."""
    CLASSES = "classes"
    """0, 1, ... in the order of the labels, two values or more."""
