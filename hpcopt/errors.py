"""What can go wrong through what a person gave, as opposed to our own mistakes.

An `InputError` carries the one line its reader sees: what was given, where, and what would be right.
Anything else that escapes is a defect of ours and ends the job with a traceback.
"""


class InputError(ValueError):
    """Bad input; `str(error)` is the one clear line shown to the person, without a traceback."""


class AgreedError(InputError):
    """An `InputError` that every process of the cluster raises together, after they agreed on it.

    One process tells it, all leave by the ordinary way out: nobody is left waiting in a collective.
    """


class MissingLibraryError(InputError):
    """A library of an optional extra is not installed; the message says which extra brings it."""
