"""The arrays that rooms hand to one another, by what they hold; an alias that one file alone needs stays there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Of any numbers, in any shape."""

Vector = NDArray[np.float64]
"""Shape (d,): a model, a gradient; or one number a row, (n,)."""

Columns = NDArray[np.float64]
"""Shape (d, k) or (n, k): several vectors side by side."""

Floats = NDArray[np.floating]
"""float32 or float64: what compressors take."""

Bytes = NDArray[np.uint8]
"""A message, as it travels."""

Words = NDArray[np.int64]
"""Memory that nodes change by single words."""

Rows = NDArray[np.int64]
"""Numbers of rows."""

Pairs = NDArray[np.int64]
"""Shape (edges, 2): pairs of nodes."""

Levels = NDArray[np.int8]
"""Small whole numbers, one a coordinate."""
