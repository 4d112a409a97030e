"""The solver that docs/add_a_solver.md writes before the reader's eyes passes the conformance suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUITE = "tests/test_every_solver.py"


def test_the_documented_solver_passes_the_conformance_suite(tmp_path):
    page = (ROOT / "docs" / "add_a_solver.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "@register(" in block)
    (tmp_path / "documented_solver.py").write_text(code)
    name = re.search(r'@register\("(.*)"\)', code)[1]
    done = subprocess.run(
        [*f"{sys.executable} -m pytest -q -p documented_solver -p no:cacheprovider -k {name}".split(), SUITE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
