"""Seconds and memory of virtual clusters of 64 to 4,096 nodes, for a system of each of the five papers.

    python -m tests.growth [NODES ...]

Every system runs in a process of its own. The work per node is fixed: its rows, its steps, its neighbours.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

NODES = (64, 256, 1024, 4096)
ROWS, FEATURES = 32, 50  # rows of a node
SYSTEMS = {
    "local-newton": {"solver": {"name": "local-newton", "local_steps": 2}, "stop": {"iterations": 10}},
    "dsgd-aau": {
        "solver": {"name": "dsgd-aau", "batch": 8, "step_size": 0.1},
        "topology": {"name": "random-regular", "degree": 8},
        "stragglers": {"distribution": "uniform", "spread": 0.5},
        "flops": 1e7,
        "stop": {"seconds": 3e-3},
    },
    "deli-coco": {
        "solver": {"name": "deli-coco", "step_size": 0.1, "gossip_steps": 4, "compressor": "qsgd"},
        "topology": {"name": "random-regular", "degree": 8},
        "stop": {"iterations": 10},
    },
    "multilevel-sgd": {
        "solver": {"name": "multilevel-sgd", "local_steps": 8, "hub_period": 4, "batch": 8, "step_size": 0.1},
        "hubs": {"workers_per_hub": 16, "graph": "ring"},
        "stop": {"iterations": 20},
    },
    "qcmd-adagrad": {"solver": {"name": "qcmd-adagrad", "step_size": 0.1, "batch": 8}, "stop": {"iterations": 20}},
    "qrda-adagrad": {"solver": {"name": "qrda-adagrad", "step_size": 0.1, "batch": 8}, "stop": {"iterations": 20}},
}


def specification(system: str, nodes: int) -> dict:
    """Return the specification of a system on so many virtual nodes."""
    given = SYSTEMS[system]
    cluster = {"kind": "virtual", "workers": nodes}
    cluster |= {key: given[key] for key in ("topology", "hubs", "stragglers", "flops") if key in given}
    return {
        "data": {"source": "logistic", "rows": ROWS * nodes, "features": FEATURES},
        "problem": {"loss": "logistic", "l2": 1e-3},
        "solver": given["solver"],
        "cluster": cluster,
        "stop": given["stop"],
        "output": {"record_every": 0},
    }


def measured(system: str, nodes: int) -> dict:
    """Return the seconds and the memory of one run, of this process."""
    import hpcopt

    hpcopt.run(specification(system, 16))  # imports and compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    run = hpcopt.run(specification(system, nodes))
    seconds = time.process_time() - begun
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"system": system, "nodes": nodes, "seconds": seconds, "MB": grown / 1024, "result": run.result}


def main(arguments: list[str]) -> None:
    """Print a line for every system and number of nodes, each measured in a process of its own."""
    if arguments[:1] == ["--one"]:
        print(json.dumps(measured(arguments[1], int(arguments[2]))))
        return
    for system in SYSTEMS:
        for nodes in map(int, arguments) if arguments else NODES:
            command = [sys.executable, "-m", "tests.growth", "--one", system, str(nodes)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            print(done.stdout.strip() or f"{system} {nodes}: {done.stderr.strip().splitlines()[-1:]}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
