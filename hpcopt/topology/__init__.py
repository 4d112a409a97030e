"""Topologies: the graph of the nodes and its weights; pure functions of sizes, parameters and a seed.

Each file in this package that registers a class is a topology; importing the package imports them all. `build` turns a
topology and a number of nodes into the mixing matrix that solvers use. networkx, which generates most graphs, is
imported only by the process that builds the matrix, not by those that receive it.
"""

import importlib
import pkgutil

from hpcopt.topology.base import TOPOLOGIES, Layout, Topology
from hpcopt.topology.build import build
from hpcopt.topology.layout import lay_out
from hpcopt.topology.mixing import Mixing, Row

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["TOPOLOGIES", "Layout", "Mixing", "Row", "Topology", "build", "lay_out"]
