"""`hpcopt predict model.npz DATA`: predictions, and how good they are where DATA has labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL.npz", help="As written by fit, run or compare.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="LIBSVM text, .npz or .npy.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write one prediction a line.")
    ] = None,
) -> int:
    """Predict every row of DATA; prints the accuracy, or the error, where DATA has labels."""
    import numpy as np

    from hpcopt.data.source import read_table
    from hpcopt.runs.model import load

    known = load(model)
    table = read_table(data, known.features, zero_based=known.meta.get("zero_based"))
    predicted = known.predict(table.X)
    if output is not None:
        partial = output.with_name(output.name + ".partial")
        np.savetxt(partial, predicted, fmt="%.17g")
        partial.replace(output)
        print(f"{len(predicted)} predictions in {output}")
    if table.y is None:
        return 0
    if known.classes is not None:
        right = int(np.count_nonzero(predicted == table.y))
        print(f"accuracy {right / len(predicted):.6f} ({right} of {len(predicted)} rows)")
    else:
        error = predicted - table.y
        spread = table.y - table.y.mean()
        r2 = 1.0 - float(error @ error) / float(spread @ spread) if spread.any() else float("nan")
        print(f"mean squared error {float(error @ error) / len(error):.6g}, R^2 {r2:.6f} ({len(error)} rows)")
    return 0
