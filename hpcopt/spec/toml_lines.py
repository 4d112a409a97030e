"""A TOML text read, and the line of every key in it.

TOML readers don't report the positions of values, but a message about an invalid value has to name its line. This
scanner reads text that `tomllib` has accepted, so it follows the grammar without checking it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import Any

from hpcopt.annotations import KeyPath

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_BARE_VALUE = re.compile(r"[^,\]}#\n]+")
_STRINGS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r'"""(?:\\.|[^\\])*?"""(?:"{0,2})',
        r"'''.*?'''(?:'{0,2})",
        r'"(?:\\.|[^"\\\n])*"',
        r"'[^'\n]*'",
    )
)


DEEPEST = 100
"""Tables and lists inside one another at most: whoever walks through them calls itself."""

_LONG_INTEGER = re.compile(r"[0-9_]{4300,}")  # Python converts no more digits


def parsed(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises
    ------
    ValueError
        "What is wrong (at line 1, column 2)"; without the place for what is nested too deeply.
    """
    too_deep = f"tables and lists nested more than {DEEPEST} deep"
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ValueError(too_deep) from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        found = _LONG_INTEGER.search(text)
        if found is None:
            raise
        line, start = text.count("\n", 0, found.start()) + 1, text.rfind("\n", 0, found.start())
        where = f"(at line {line}, column {found.start() - start})"
        raise ValueError(f"An integer of more than 4300 digits {where}") from error
    level: list[Any] = [tables]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = [inner for inner in level if isinstance(inner, (dict, list))]
    if level:
        raise ValueError(too_deep)
    return tables


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key, table header and list item of the valid TOML `text`."""
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


class _Scanner:
    """One pass over the text; `at` is the offset of the next character, `lines` the result so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._tables_in: dict[KeyPath, int] = {}  # array of tables -> number of its tables so far

    def scan(self) -> None:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self._sees("["):
                table = self._header()
            else:
                self._assignment(table)
            self._skip(_BLANK)

    def _header(self) -> KeyPath:
        """Read [a.b] or [[a.b]]; return the path of the table that the following keys belong to."""
        many = self._sees("[[")
        start = self.at
        self.at += 2 if many else 1
        *outer, last = self._key()
        path: KeyPath = ()
        for name in outer:
            path = self._inside((*path, name))
        path = (*path, last)
        self._note(path, start)
        if many:
            self._tables_in[path] = self._tables_in.get(path, 0) + 1
            path = self._inside(path)
            self._note(path, start)
        self.at += 2 if many else 1
        return path

    def _inside(self, path: KeyPath) -> KeyPath:
        """Return `path`, with the index of the latest table if it is an array of tables."""
        count = self._tables_in.get(path)
        return path if count is None else (*path, count - 1)

    def _assignment(self, table: KeyPath) -> None:
        """Read `a.b = value` in `table`."""
        self._skip(_BLANK)
        start = self.at
        path = table
        for name in self._key():
            path = (*path, name)
            self._note(path, start)
        self._skip(_EQUALS)
        self._value(path)

    def _key(self) -> list[str]:
        self._skip(_BLANK)
        names = [self._name()]
        while _DOT.match(self.text, self.at):
            self._skip(_DOT)
            names.append(self._name())
        self._skip(_BLANK)
        return names

    def _name(self) -> str:
        start = self.at
        if self._sees('"') or self._sees("'"):
            self._string()
            return str(tomllib.loads(f"name = {self.text[start : self.at]}")["name"])
        self._skip(_BARE_KEY)
        return self.text[start : self.at]

    def _value(self, path: KeyPath) -> None:
        if self._sees("["):
            self._list(path)
        elif self._sees("{"):
            self._inline_table(path)
        elif self._sees('"') or self._sees("'"):
            self._string()
        else:
            self._skip(_BARE_VALUE)

    def _list(self, path: KeyPath) -> None:
        self.at += 1
        place = 0
        while not self._closes("]"):
            self._note((*path, place), self.at)
            self._value((*path, place))
            place += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while not self._closes("}"):
            self._assignment(path)

    def _closes(self, bracket: str) -> bool:
        """Skip to the next item; if `bracket` ends the list, skip it, too, and return true."""
        self._skip(_BLANK)
        if self._sees(","):
            self.at += 1
            self._skip(_BLANK)
        if self._sees(bracket):
            self.at += 1
            return True
        return False

    def _string(self) -> None:
        for pattern in _STRINGS:
            if pattern.match(self.text, self.at):
                self._skip(pattern)
                return

    def _sees(self, characters: str) -> bool:
        return self.text.startswith(characters, self.at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()

    def _note(self, path: KeyPath, offset: int) -> None:
        self.lines.setdefault(path, bisect_right(self._starts, offset))
