"""The start of the program: until it handles signals itself, an interrupt ends it without a traceback."""

import signal
from typing import NoReturn


def console() -> NoReturn:
    """Run the command of this process and exit."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the imports take a tenth of a second
    from hpcopt.cli.main import console as carry_out

    carry_out()
