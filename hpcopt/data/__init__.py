"""Data: rows in from files, arrays, libraries or generators, spread over nodes; no process reads more than its part.

    file, array, library, generator --> Part (what a process read) --> split, scale --> partition --> shards, one a node

A *row number* is a row's place in the whole data set and doesn't depend on how many processes read it; all
decisions (partition, split, generation) are functions of row numbers and a seed, so the shards don't either.
"""

from hpcopt.data.labels import ChosenClasses
from hpcopt.data.source import DataRequest, Loaded, Rows, from_arrays, load, read_table
from hpcopt.data.table import Table

__all__ = ["ChosenClasses", "DataRequest", "Loaded", "Rows", "Table", "from_arrays", "load", "read_table"]
