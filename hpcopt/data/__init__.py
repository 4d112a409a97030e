"""Data: rows in from files, libraries or generators, spread over the nodes; no process reads more than its part.

    file, library or generator --> Part (what this process read) --> split, scale --> partition --> shards (one a node)

A *row number* is a row's place in the whole data set and doesn't depend on how many processes read it; all
decisions (partition, split, generation) are functions of row numbers and a seed, so the shards don't either.
"""

from hpcopt.data.labels import ChosenClasses
from hpcopt.data.source import GENERATED, SOURCES, DataRequest, Loaded, load, read_table
from hpcopt.data.table import Table

__all__ = ["GENERATED", "SOURCES", "ChosenClasses", "DataRequest", "Loaded", "Table", "load", "read_table"]
