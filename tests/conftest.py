"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real data sets beside the checkout; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not beside this checkout")
    return DATA
