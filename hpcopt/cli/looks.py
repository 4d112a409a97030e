"""The options of `plot` and `compare` that choose how a picture looks; together they make one `Look`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from hpcopt.errors import InputError
from hpcopt.results.heights import UPWARDS
from hpcopt.results.look import COLUMNS, chosen
from hpcopt.results.measures import ACROSS
from hpcopt.results.text_tables import checked_format

_WIDTHS = ", ".join(f"{name} ({inches} in)" for name, inches in COLUMNS.items())


def _option(flag: str, metavar: str, told: str) -> Any:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=told)]


_OPTIONS: dict[str, Any] = {
    "x": _option("--x", "NAME,...", f"Horizontal axes, of {', '.join(ACROSS)}; a panel for each."),
    "y": _option("--y", "NAME,...", f"Vertical axes, of {', '.join(UPWARDS)}; a row of panels for each."),
    "size": _option("--size", "WxH", "Width and height of the picture in inches."),
    "column": _option("--column", "NAME", f"A width of journals, with small letters: {_WIDTHS}."),
    "log": _option("--log", "AXIS", "Make x, y or x,y logarithmic."),
    "linear": _option("--linear", "AXIS", "Make x, y or x,y linear."),
    "title": _option("--title", "TEXT", "Text above the panels, or none."),
    "labels": Annotated[
        list[str] | None,
        typer.Option("--label", metavar="DIR=TEXT", help="A run's name in the legend; may be repeated."),
    ],
}


def _format(given: str) -> str:
    try:
        return checked_format(given)
    except InputError as error:
        raise typer.BadParameter(error.message) from None


Table = Annotated[
    str | None,
    typer.Option(
        "--table", metavar="FORMAT", parser=_format, help="Also write the table as LaTeX (tex) or Markdown (md)."
    ),
]


def with_look(verb: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a look, which it receives as one parameter, `look`."""

    @functools.wraps(verb)
    def carry_out(*arguments: Any, **options: Any) -> int:
        choices = {name: options.pop(name) for name in _OPTIONS}
        given = {name: choice for name, choice in choices.items() if choice}
        try:
            look = chosen(**(given | {"labels": _labels(choices["labels"] or ())}))
        except InputError as error:
            raise typer.BadParameter(error.message) from None
        return verb(*arguments, **options, look=look)

    signature = inspect.signature(verb, eval_str=True)
    own = [parameter for name, parameter in signature.parameters.items() if name != "look"]
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _OPTIONS.items()
    ]
    carry_out.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    carry_out.__annotations__ = {each.name: each.annotation for each in (*own, *more)}
    return carry_out


def _labels(given: Any) -> dict[str, str]:
    """Return folder -> text of "DIR=TEXT"; the text may contain "="."""
    labels = {}
    for each in given:
        folder, equals, text = each.partition("=")
        if not (folder and equals and text):
            raise InputError(f"label: expected DIR=TEXT, a run's folder and its name in the legend; got {each!r}")
        labels[folder] = text
    return labels
