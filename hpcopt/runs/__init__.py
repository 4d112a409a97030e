"""Runs: from a specification to a finished folder. The driver alone measures, stops, records and reports.

cluster.py         the cluster that a specification asks for
prepare.py         every node's shard, warm kernels     execute.py    one solver's run, from rehearsal to folder
driver.py          the one loop over a solver's rounds  measuring.py  what a record holds
asynchronous.py    the loop of solvers without rounds  recorder.py   where records go while a run goes on
start.py, fit.py   what `hpcopt run` and `fit` do
"""
