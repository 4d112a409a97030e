"""Sphinx's settings: pages in Markdown (MyST), built with `make docs`, where a warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # where `solver_table.py` and `record_table.py` are

project = "hpcopt"
author = copyright = "the hpcopt developers"
extensions = ["myst_parser", "record_table", "solver_table"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "hpcopt"
