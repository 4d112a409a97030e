"""Runs: from a specification to a finished folder. The driver alone measures, stops, records and reports.

specification.py   what the user wrote, checked         cluster.py    the cluster that it asks for
prepare.py         every node's shard, warm kernels     execute.py    one solver's run, from rehearsal to folder
driver.py          the one loop over a solver's rounds  measuring.py  what a trace row holds
stopping.py        budgets, targets, divergence         folder.py     what a run leaves behind
"""
