"""Kernels: the inner loops, compiled by numba; arrays in, arrays out, no classes, no MPI, no input or output.

Memory is the bottleneck: a fused kernel needs one pass over the data where numpy takes two or three. The first call of
a kernel should go through `cache.compile_safely`.
"""

import warnings

from hpcopt.errors import InputError

try:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Environment variable 'NUMBA_")
        import numba
except (ValueError, RuntimeWarning) as error:
    reason = str(error).splitlines()[0].rstrip(".")
    raise InputError(f"numba rejects its settings (variables NUMBA_..., or numba_config.yaml): {reason}") from None
if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise InputError("NUMBA_DISABLE_JIT is set, but the kernels need numba's compiler: unset it")
