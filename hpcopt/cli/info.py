"""`hpcopt info`: a description of the environment, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys

EXTRAS = {
    "matplotlib": "pictures (pip install 'hpcopt[plot]')",
    "sphinx": "building the docs (pip install 'hpcopt[docs]')",
}
CORE = ("numpy", "scipy", "numba", "mpi4py", "greenlet", "msgspec", "scikit-learn")


def info() -> int:
    """Describe the environment.

    Versions, MPI, how the job was started, threads, caches, what is missing.
    """
    from hpcopt.fabric.join import join
    from hpcopt.fabric.launch import is_first, mpi_library, started
    from hpcopt.kernels.cache import place  # on every rank, as it may reject numba's settings
    from hpcopt.version import __version__

    cluster = join()
    processes, _, launcher = started()
    if is_first():
        print(f"hpcopt {__version__}, Python {platform.python_version()} ({sys.executable})")
        print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in CORE))
        print(f"MPI: {mpi_library() or 'none that mpi4py can load (pip install mpich); one node only'}")
        print(
            f"started by {launcher}: {cluster.size} ranks"
            if processes > 1
            else f"started as a single process: {cluster.size} rank"
        )
        print(f"cores for this process: {len(os.sched_getaffinity(0))}; kernels and BLAS use one thread per rank")
        kernels = place()
        print(f"numba keeps compiled kernels in {kernels.folder or 'no folder: each run compiles'}")
        for fault in kernels.refused:
            print(f"  not in {fault}")
        for module, use in EXTRAS.items():
            if importlib.util.find_spec(module) is None:
                print(f"missing: {module}, needed for {use}")
    cluster.close()
    return 0
