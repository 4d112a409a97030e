"""Specifications: tables from TOML or dicts, checked before anything runs, with errors in the user's terms.

Each table is a class of the package that uses it (`data.request`, `problems.table`, `results.stopping`,
`results.output`, `fabric.heterogeneity`) and checks itself. This package combines them and reports errors with file,
line and key.

specification.py   the whole                     cluster.py      the table [cluster], used by several packages
validation.py      from plain tables to objects  parts.py        solvers, compressors, penalties, ... by name
overrides.py       --set key.path=value          suitable.py     the default solver and tolerance of an objective
catalogue.py       the keys and values of all tables, for `hpcopt list` and `hpcopt show`
fingerprint.py     what identifies a run         toml_lines.py   the line number of every key
"""
