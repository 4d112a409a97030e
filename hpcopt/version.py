"""The version, defined once; the build and run.json read it."""

__version__ = "0.1.0"
