"""Results: how a run is judged and what it leaves behind: records, its folder, tables and pictures.

Tables and pictures are pure functions of records: no cluster, no problem, no running.
"""
