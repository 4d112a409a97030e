"""Every registered solver passes the conformance suite; new ones are included automatically."""

from __future__ import annotations

import pytest

from hpcopt.conformance import CHECKS
from hpcopt.solvers import SOLVERS

ASKED = [
    pytest.param(check, name, setting, id=f"{check.sentence}-{name}-{setting}")
    for check in CHECKS
    for name in SOLVERS
    if check.not_asked(SOLVERS[name]) is None
    for setting in check.settings
]


@pytest.mark.parametrize(("check", "name", "setting"), ASKED)
def test_a_solver_conforms(check, name, setting):
    check.run(SOLVERS[name], setting)
