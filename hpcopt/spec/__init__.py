"""Specifications: tables from TOML or dicts, checked before anything runs, with errors in a user's words.

specification.py   the whole                     sections.py     its tables
validation.py      from plain tables to objects  parts.py        solvers, compressors, topologies by name
overrides.py       --set key.path=value          toml_lines.py   the line of every key
"""
