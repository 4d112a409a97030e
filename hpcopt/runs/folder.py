"""What a run leaves behind, written so that nothing half-done can be taken for a result.

run.json            specification, versions, hosts, seed; "result" appears in it when the run has ended
trace.jsonl         one object per recorded round, appended as the run goes
model.npz           the model            convergence.png    the picture
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, TextIO

from hpcopt.errors import InputError

RUN, TRACE, MODEL, PICTURE = "run.json", "trace.jsonl", "model.npz", "convergence.png"
TABLE, COMPARISON = "compare.csv", "compare.png"
OURS = (RUN, TRACE, MODEL, PICTURE, TABLE, COMPARISON)


def claim(folder: Path, *, overwrite: bool) -> None:
    """Make `folder` ready for a new run.

    Raises
    ------
    InputError
        If it holds another run and `overwrite` is false, or if it is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: the output folder is an existing file; give another one with --out")
    held = [name for name in OURS if (folder / name).exists()]
    if held and not overwrite:
        raise InputError(f"{folder}: holds another run ({held[0]}); give --overwrite to replace it, or another --out")
    for name in held:
        (folder / name).unlink()
    for inner in folder.glob(f"*/{RUN}") if held else ():  # the runs of an earlier comparison
        shutil.rmtree(inner.parent)
    folder.mkdir(parents=True, exist_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    partial.replace(path)


class TraceFile:
    """trace.jsonl, one row a line, readable while the run goes on."""

    def __init__(self, folder: Path) -> None:
        self._file: TextIO = (folder / TRACE).open("w", buffering=1)

    def append(self, row: dict[str, Any]) -> None:
        """Write one row; a value that is no number becomes null."""
        finite = {k: None if isinstance(v, float) and v - v != 0.0 else v for k, v in row.items()}
        self._file.write(json.dumps(finite, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a run's run.json and its trace rows.

    Raises
    ------
    InputError
        If there is no run, or a damaged one.
    """
    try:
        described = json.loads((folder / RUN).read_text())
        lines = (folder / TRACE).read_text().splitlines()
        rows = [json.loads(line) for line in lines]
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no run here ({Path(error.filename).name} is missing)") from None
    except (ValueError, NotADirectoryError) as error:
        raise InputError(f"{folder}: not a run's folder ({error})") from None
    for row in rows:
        if row["objective"] is None:
            row["objective"] = float("nan")
        if row["grad_norm"] is None:
            row["grad_norm"] = float("nan")
    return described, rows
