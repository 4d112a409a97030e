"""Benchmarks: our code and its peers side by side in one run; the results are ratios."""
