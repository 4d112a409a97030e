"""Runs: from a specification to a finished folder. Only the driver measures, stops, records and reports.

cluster.py         the cluster that a specification describes
prepare.py         every node's shard, warm kernels     execute.py    one solver's run, from warm-up to folder
driver.py          the loop over a solver's rounds      course.py     the driver's state during a run
asynchronous.py    the loop of asynchronous solvers     measuring.py  the measurements of a record
checkpoint.py      snapshots as plain data              replay.py     how asynchronous runs resume from one
keeper.py          when and how checkpoints are taken   resuming.py   the last checkpoint in a folder
subject.py         what a checkpoint is of              identity.py   what identifies a run
description.py     the contents of run.json             environment.py   machine, threads, commits, command
recorder.py        the output of records during a run   start.py, fit.py   implement `hpcopt run` and `fit`
"""
