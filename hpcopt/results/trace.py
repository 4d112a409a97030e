"""A trace as Python users read it: a list of records, and columns for arithmetic and plots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from hpcopt.errors import InputError
from hpcopt.registry import nearest
from hpcopt.results.record import COLUMNS, Record


class Trace(list[dict[str, Any]]):
    """The records of a run in order, as dicts; `trace["objective"]` is a column.

    Non-finite values are NaN or inf, not None.

    Parameters
    ----------
    records
        The records.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        super().__init__(record.as_dict() for record in records)

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns that some record has, by name, such as for `pandas.DataFrame`."""
        return {name: self[name] for name in COLUMNS if any(name in record for record in self)}

    @overload
    def __getitem__(self, which: SupportsIndex) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, which: slice) -> list[dict[str, Any]]: ...
    @overload
    def __getitem__(self, which: str) -> NDArray[Any]: ...
    def __getitem__(self, which: Any) -> Any:
        """Return a record by its place, or a column by its name: of shape (records,), NaN where it is missing.

        Raises
        ------
        InputError
            For a name that is not a column of a trace.
        """
        if not isinstance(which, str):
            return super().__getitem__(which)
        if which not in COLUMNS:
            raise InputError(f"a trace has no column '{which}'{nearest(which, COLUMNS)}")
        values = [record.get(which) for record in self]
        missing = any(value is None for value in values)
        if any(isinstance(value, (str, dict)) for value in values):
            return np.array(values, dtype=object)
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64 if missing else None)
