"""Conformance: the properties of every solver, checked on small problems with known optima.

One suite for the solvers of this package (`tests/test_every_solver.py`) and for external ones (`hpcopt check`).
"""

from hpcopt.conformance.checks import CHECKS

__all__ = ["CHECKS"]
