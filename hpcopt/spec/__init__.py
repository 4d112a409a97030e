"""Specifications: tables from TOML or dicts, checked before anything runs, with errors in a user's words.

Each table is a class of the room that uses it (`data.request`, `results.stopping`, `results.output`,
`fabric.heterogeneity`), which checks itself; here they are put together, and errors told with file, line and key.

specification.py   the whole                     cluster.py      the table [cluster], which combines several rooms
validation.py      from plain tables to objects  sections.py     the table [problem]
overrides.py       --set key.path=value          parts.py        solvers, compressors, topologies by name
toml_lines.py      the line of every key
"""
