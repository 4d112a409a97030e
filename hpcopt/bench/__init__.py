"""Benchmarks: ours and its peers side by side in one run; what is told are ratios."""
