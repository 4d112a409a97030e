"""The command line: `start.py` starts the program, `main.py` carries out a command, and each has a thin module."""
