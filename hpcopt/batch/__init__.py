"""Batch jobs under SLURM: what a cluster requires, what a job does, its script, and the queue.

A script is complete and can be read and changed by hand: it needs nothing but SLURM and an installed hpcopt.
"""
