"""`hpcopt bench SUBJECT`: speed as ratios, our code and its peers side by side in one run."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.outputs import check_file
from hpcopt.registry import nearest

WIDTH = 120  # columns in a batch log
SUBJECTS = ("compression", "fabric", "kernels", "solvers")


def bench(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="kernels, compression, fabric or solvers.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write name, ours, peer, ratio, goal as JSON.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller data, fewer repetitions.")] = False,
    sparse: Annotated[bool, typer.Option("--sparse", help="Of the solvers, only a pass over sparse rows.")] = False,
) -> int:
    """Measure speed side by side with reference implementations.

    The columns ours and peer are times, peer that of the reference; ratio = peer / ours: larger is better.
    """
    if subject not in SUBJECTS:
        raise InputError(f"unknown subject '{subject}'{nearest(subject, SUBJECTS)} (known: {', '.join(SUBJECTS)})")
    if sparse and subject != "solvers":
        raise InputError(f"--sparse: a part of the subject solvers, got the subject {subject}")
    from hpcopt.bench.compression import bench_compression
    from hpcopt.bench.fabric import bench_fabric
    from hpcopt.bench.kernels import bench_kernels
    from hpcopt.bench.solvers import bench_solvers
    from hpcopt.fabric.agreement import agreed
    from hpcopt.fabric.join import join

    with closing(join()) as cluster:
        group = cluster.processes
        if json_file is not None:
            with agreed(group, one_tells=True):
                if group.rank == 0:
                    check_file(json_file)
        if subject == "kernels":
            rows = bench_kernels(group.barrier, group.rank, group.size, quick)
        elif subject == "compression":
            rows = bench_compression(group.barrier, group.rank, quick)
        elif subject == "solvers":
            rows = bench_solvers(cluster, quick=quick, sparse=sparse)
        else:
            rows = bench_fabric(cluster, quick)
        with agreed(group, one_tells=True):
            if group.rank == 0:
                _tell(rows, subject, group.size)
                if json_file is not None:
                    with written_whole(json_file) as file:
                        file.write(json.dumps(rows, indent=1) + "\n")
    return 0


def _tell(rows: list[dict[str, object]], subject: str, ranks: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from hpcopt.results.terminal import is_terminal

    table = Table(title=f"hpcopt bench {subject}, {ranks} rank(s); ratio = peer / ours", title_justify="left")
    for column in ("name", "ours", "peer", "peer is", "ratio", "goal"):
        table.add_column(column, justify="left" if column in {"name", "peer is"} else "right")
    for row in rows:
        goal = "" if row["goal"] is None else f"{row['goal']:.3g}"
        ours, peer = ("" if row[k] is None else f"{1e6 * float(str(row[k])):,.1f} us" for k in ("ours", "peer"))
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        table.add_row(str(row["name"]), ours, peer, str(row["peer_name"]), ratio, goal)
    (Console() if is_terminal() else Console(width=WIDTH, force_terminal=False)).print(table)
