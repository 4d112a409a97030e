"""The problems of the conformance suite, under the name that tests know them by."""

from hpcopt.conformance.problems import PROBLEMS, Spread, equal, logistic, ridge
from hpcopt.conformance.solving import Solved, solve

__all__ = ["PROBLEMS", "Solved", "Spread", "equal", "logistic", "ridge", "solve"]
