"""Specifications: tables from TOML or dicts, checked before anything runs, with errors in a user's words.

Each table is a class of the room that uses it (`data.request`, `problems.table`, `results.stopping`,
`results.output`, `fabric.heterogeneity`), which checks itself; here they are put together, and errors told with file,
line and key.

specification.py   the whole                     cluster.py      the table [cluster], which combines several rooms
validation.py      from plain tables to objects  parts.py        solvers, compressors, penalties, ... by name
overrides.py       --set key.path=value          suitable.py     the usual solver and tolerance of an objective
catalogue.py       what a table may hold, for `hpcopt list` and `hpcopt show`
toml_lines.py      the line of every key
"""
