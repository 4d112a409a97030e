"""The command line: one thin module a verb, and `main.py`, which starts, reports errors once and ends the job."""
