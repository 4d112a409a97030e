"""Topologies: the graph of the nodes and its weights; pure functions of sizes, parameters and a seed.

Each file in this room that registers a class is a topology: importing the room imports them all. `build` turns one,
with a number of nodes, into the mixing matrix that solvers use. networkx, which generates most graphs, is imported by
the process that builds, never by those that receive the result.
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
