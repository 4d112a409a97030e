"""The array types that packages exchange, by content; an alias used in only one file stays there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Any numbers, any shape."""

Vector = NDArray[np.float64]
"""Shape (d,): a model, a gradient; or one number per row, (n,)."""

Columns = NDArray[np.float64]
"""Shape (d, k) or (n, k): several vectors side by side."""

Floats = NDArray[np.floating]
"""float32 or float64: the input of compressors."""

Bytes = NDArray[np.uint8]
"""A message as sent."""

Words = NDArray[np.int64]
"""Memory that nodes change word by word."""

Rows = NDArray[np.int64]
"""Row numbers."""

Places = NDArray[np.int64]
"""Coordinates of a sparse vector, sorted, each once."""

Sparse = tuple[Places, Vector]
"""A vector with few nonzero numbers: their coordinates and values, shape (m,)."""

Pairs = NDArray[np.int64]
"""Shape (edges, 2): pairs of nodes."""

Levels = NDArray[np.int8]
"""Small integers, one per coordinate."""
