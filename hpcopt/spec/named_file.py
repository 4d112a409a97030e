"""The file of a specification as a run remembers it: by its name and its contents."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NamedFile:
    """A file that was read.

    Parameters
    ----------
    name
        Its name, without folders.
    sha256
        Hash of its contents, in hexadecimal.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> NamedFile:
        """Read the file."""
        return cls(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
