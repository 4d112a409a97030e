"""`python -m hpcopt` is the same as the command `hpcopt`."""

from hpcopt.cli.main import console

console()
