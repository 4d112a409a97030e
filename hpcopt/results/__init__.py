"""Results: how a run is judged and what it leaves behind: rows, its folder, tables and pictures.

Tables and pictures are pure functions of rows: no cluster, no problem, no running.
"""
