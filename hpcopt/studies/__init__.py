"""Studies: what is made of several runs: comparisons, and pictures of runs that are there already."""
