"""The version, in one place: the build reads it, and so does whoever writes it into a run."""

__version__ = "0.1.0"
