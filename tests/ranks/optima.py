"""Computes optima on all ranks, without those of earlier runs; rank 0 prints them."""

import json
import sys

import hpcopt
from hpcopt.fabric.launch import is_first
from hpcopt.kernels.cache import Place
from hpcopt.runs import remembered

remembered.place = lambda: Place(None, ())

optima = [hpcopt.run(specification).goal.optimum for specification in json.loads(sys.argv[1])]
if is_first():
    print(json.dumps(optima), flush=True)
