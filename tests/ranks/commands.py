"""Runs commands one after another on the same ranks; prints per command the exit code and output of each rank."""

import contextlib
import io
import json
import sys

from mpi4py import MPI

from hpcopt.cli.main import main

for arguments in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    told = MPI.COMM_WORLD.gather((code, out.getvalue(), err.getvalue()))
    if told is not None:
        print(json.dumps(told), flush=True)
