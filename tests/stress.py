"""Many consecutive runs of DSGD-AAU on real ranks: `make stress`. Not part of the tests, as it takes long.

python -m tests.stress --runs 100 --ranks 2,3,4,8,16
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.launch import python_ranks

PROGRAM = Path(__file__).parent / "ranks" / "averaging.py"
ROOT = {"PYTHONPATH": str(PROGRAM.parents[2])}
ENGINES = ("one-sided", "two-sided")


def main() -> None:
    """Run, and stop at the first failure with its output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="runs of each kind")
    parser.add_argument("--ranks", default="2,3,4,8,16")
    parser.add_argument("--iterations", type=int, default=60)
    asked = parser.parse_args()
    for ranks in map(int, asked.ranks.split(",")):
        for engine in ENGINES:
            arguments = [engine, str(asked.iterations), "0", str(asked.runs)]
            done = python_ranks(ranks, PROGRAM, *arguments, timeout=60 + 20 * asked.runs, env=ROOT)
            if done.returncode:
                raise SystemExit(f"{ranks} ranks, {engine}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
            print(done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
