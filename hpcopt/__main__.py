"""`python -m hpcopt` is equivalent to the command `hpcopt`."""

from hpcopt.cli.main import console

console()
