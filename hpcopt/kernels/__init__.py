"""Kernels: the inner loops, compiled by numba; arrays in, arrays out, no classes, no MPI, no input or output.

They exist because memory is the limit: one fused pass over the data where numpy takes two or three. Whoever
calls one first should do so through `cache.compile_safely`.
"""
