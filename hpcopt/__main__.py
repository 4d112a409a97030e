"""`python -m hpcopt` is equivalent to the command `hpcopt`."""

from hpcopt.cli.start import console

console()
