"""`hpcopt init [FILE]`: a specification to start from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from hpcopt.errors import InputError
from hpcopt.files import written_whole
from hpcopt.outputs import check_file

NAMED = "my.toml"
"""The file name used in the specification's own comments."""


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The specification to write.")] = Path(NAMED),
) -> int:
    """Write a commented specification that is ready to run.

    It solves a small logistic regression; change it to yours. An existing file is never overwritten.
    """
    text = files("hpcopt.cli").joinpath("starter.toml").read_text(encoding="utf-8").replace(NAMED, str(file))
    if file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text:
        print(f"{file} already exists with the same content")
        return 0
    if file.exists():
        raise InputError(f"{file}: already exists; choose another name")
    check_file(file)
    with written_whole(file) as written:
        written.write(text)
    print(f"{file} written. Next:\n\n  hpcopt run {file}\n  mpiexec -n 4 hpcopt run {file} --out runs/four-ranks")
    return 0
