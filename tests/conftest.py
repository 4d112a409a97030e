"""Fixtures shared by all tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np  # noqa: F401  # its BLAS must be there to be limited
import pytest
import scipy.linalg  # noqa: F401  # and so must scipy's own
from threadpoolctl import threadpool_limits

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real data sets next to the checkout; the test is skipped if it is missing."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    return DATA


@pytest.fixture(scope="session", autouse=True)
def one_thread_of_blas() -> Iterator[None]:
    """Restrict BLAS to one thread, as runs do: on busy cores, its threads wait for each other."""
    with threadpool_limits(1):
        yield
