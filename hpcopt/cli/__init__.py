"""The command line: one thin module per command, and `main.py`, which starts it and reports errors once."""
