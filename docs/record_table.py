"""`{record-table}`: the tables of a trace's columns, made from `hpcopt.results.record` whenever the pages are built."""

from __future__ import annotations

from dataclasses import fields
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import hpcopt.results.record
from hpcopt.results.record import Record


def table(*, decentralised: bool) -> str:
    """Return the table in Markdown of the columns that all solvers have, or of those that decentralised ones add."""
    lines = [("column", "unit", "meaning"), ("---",) * 3]
    for column in fields(Record):
        said = column.metadata
        if said["decentralised"] == decentralised:
            lines.append((f"`{column.name}`", said["unit"], said["meaning"]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class RecordTable(SphinxDirective):
    """The directive; its argument is "all" or "decentralised"."""

    has_content: ClassVar[bool] = False
    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """Return the table's nodes."""
        self.env.note_dependency(str(hpcopt.results.record.__file__))
        return self.parse_text_to_nodes(table(decentralised=self.arguments[0] == "decentralised"))


def setup(app: Sphinx) -> dict[str, bool]:
    """Enter the directive; called by Sphinx."""
    app.add_directive("record-table", RecordTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
