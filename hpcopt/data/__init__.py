"""Data: rows from files, arrays, libraries or generators, distributed over nodes; each process reads only its part.

    file, array, library, generator --> Part (rows read by a process) --> split, scale --> partition --> one shard per
    node

A *row number* is a row's index in the whole data set, independent of the number of processes. All decisions (partition,
split, generation) are functions of row numbers and a seed, so the shards are independent of it as well.
"""

from hpcopt.data.labels import ChosenClasses
from hpcopt.data.source import DataRequest, Loaded, Rows, from_arrays, load, read_table
from hpcopt.data.table import Table

__all__ = ["ChosenClasses", "DataRequest", "Loaded", "Rows", "Table", "from_arrays", "load", "read_table"]
