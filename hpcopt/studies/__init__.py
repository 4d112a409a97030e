"""Studies: what is made of several runs: comparisons, pictures over them, benchmarks."""
