"""Studies of several runs: comparisons, and pictures of finished runs."""
