"""Results: the evaluation and the output of a run: stop rules, records, its folder, tables and pictures.

Tables and pictures are pure functions of records; they need neither a cluster nor a problem.
"""
