"""Scaling studies: one problem on many numbers of ranks, planned, run, checked and reported (`hpcopt scaling`).

A study is a specification with a table [scaling]. Its *points* are runs: each solver with each topology on each number
of ranks and threads, with each seed, as often as it is repeated. A point is made by `hpcopt run` from a specification
of its own in a folder of its own, so that every other command works on it.
"""
