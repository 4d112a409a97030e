"""`hpcopt predict model.npz DATA`: predictions, and their accuracy if DATA has labels."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcopt.files import written_whole
from hpcopt.outputs import check_apart, check_file

if TYPE_CHECKING:
    from hpcopt.data import ChosenClasses
    from hpcopt.models.model import Model


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.npz", help="A model file written by fit, run or compare.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="LIBSVM text or IDX, perhaps compressed, .npz or .npy.")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write one prediction per line; default: standard output."),
    ] = None,
    zero_based: Annotated[
        bool | None,
        typer.Option(
            "--zero-based/--one-based",
            help="Whether the columns of LIBSVM text count from 0 or from 1. Default: as in the training text; for a "
            "model trained on arrays, from 0 if there is a column 0.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Predict every row of a data file.

    Reports the accuracy, or the error, if DATA has labels.
    Predictions go to standard output, one per line, and the accuracy to standard error; with -o, predictions go to
    FILE and the accuracy to standard output.
    """
    from hpcopt.data import read_table
    from hpcopt.models.model import load

    if output is not None:
        check_file(output)
        check_apart([output], [model, data])
    known = load(model)
    base = known.meta.get("zero_based") if zero_based is None else zero_based
    table = read_table(data, known.features, zero_based=base, hash_bits=known.hash_bits, tell=_tell_base)
    predicted = known.predict(table.X)
    quality = None if table.y is None else _quality(known, predicted, table.y, data.name)
    lines = "".join(f"{value:.17g}\n" for value in predicted)
    if output is None:
        _print(lines)
        if quality is not None:
            print(quality, file=sys.stderr)
        return 0
    with written_whole(output) as file:
        file.write(lines)
    print(f"{len(predicted)} predictions in {output}")
    if quality is not None:
        print(quality)
    return 0


def _tell_base(line: str) -> None:
    print(f"hpcopt: note: {line} (--zero-based if they do, else --one-based)", file=sys.stderr)


def _print(lines: str) -> None:
    """Print the predictions; the reader may close the pipe (`| head`)."""
    try:
        sys.stdout.write(lines)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python reports the error again at exit


def _quality(model: Model, predicted: Any, y: Any, where: str) -> str:
    """Return a line about the accuracy of the predictions, (n,), for the labels, (n,)."""
    import numpy as np

    from hpcopt.data.labels import chosen_signs, unknown_label

    if model.classes is None:
        return _error(predicted, y)
    groups = model.groups
    if groups is None:
        fault = unknown_label(y, np.arange(len(y)), model.classes, where, "the model")
        if fault is not None:  # files for prediction often have dummy labels
            return f"no accuracy: {fault.message}"
        return _accuracy(predicted == y)
    signs = chosen_signs(y, groups)
    chosen = signs != 0
    left_out = int(np.count_nonzero(~chosen))
    said = _accuracy((predicted == signs)[chosen]) if chosen.any() else "no accuracy"
    if left_out:
        said += f", {left_out} row{'s' * (left_out > 1)} of other classes left out"
    return f"{said}; {_meaning(groups)}"


def _meaning(groups: ChosenClasses) -> str:
    from hpcopt.data.labels import shown

    def called(labels: tuple[float, ...]) -> str:
        return f"class{'es' * (len(labels) > 1)} {shown(labels)}"

    return f"+1 stands for {called(groups.positive)}, -1 for {called(groups.negative)}"


def _accuracy(right: Any) -> str:
    count = int(right.sum())
    return f"accuracy {count / len(right):.6f} ({count} of {_rows(len(right))})"


def _error(predicted: Any, y: Any) -> str:
    error, spread = predicted - y, y - y.mean()
    said = f"mean squared error {float(error @ error) / len(error):.6g}"
    if spread.any():  # with constant targets, such as a single row, R^2 is undefined
        said += f", R^2 {1.0 - float(error @ error) / float(spread @ spread):.6f}"
    return f"{said} ({_rows(len(error))})"


def _rows(count: int) -> str:
    return f"{count} row{'s' * (count != 1)}"
