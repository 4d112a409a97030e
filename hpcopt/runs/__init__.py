"""Runs: from a specification to a finished folder. The driver alone measures, stops, records and reports.

cluster.py         the cluster that a specification asks for
prepare.py         every node's shard, warm kernels     execute.py    one solver's run, from warm-up to folder
driver.py          the one loop over a solver's rounds  course.py     what it knows of a run on its way
asynchronous.py    the loop of solvers without rounds   measuring.py  what a record holds
checkpoint.py      snapshots as plain data              replay.py     how asynchronous runs go on from one
recorder.py        where records go meanwhile           start.py, fit.py   what `hpcopt run` and `fit` do
"""
