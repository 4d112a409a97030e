"""A checksum of the training rows: 64 bits that tell whether two runs had the same rows, wherever these came from.

The rows count in no order, as they are before scaling: the moments that "standard" scales by are sums, whose last bits
depend on the number of processes.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from hpcopt.data.table import Table
from hpcopt.fabric.interface import Cluster


def checksum(table: Table, cluster: Cluster) -> str:
    """Return the checksum of the rows of all processes as 16 hexadecimal digits; collective.

    Parameters
    ----------
    table
        This process's rows, with the targets that the loss compares with.
    """
    cluster.led(partial(_sum, table.between(0, 0)))  # so that one process per host compiles the kernel
    sums = cluster.processes.allgather(np.array([_sum(table)], dtype=np.uint64))
    return f"{sum(int(part[0]) for part in sums) % 2**64:016x}"


def _sum(table: Table) -> np.uint64:
    from hpcopt.kernels.cache import compile_safely  # numba, which importing this package does without

    return compile_safely(partial(_compiled, table))


def _compiled(table: Table) -> np.uint64:
    from hpcopt.kernels import checksum as kernels

    if not table.sparse:
        return kernels.of_dense(table.X, table.targets)
    return kernels.of_sparse(table.X.data, table.X.indices, table.X.indptr, table.targets)
