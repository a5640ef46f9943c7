"""The command line of a process that its environment tells everything: `--help`, `--version`, and nothing else.

Without argparse, which such a process would hold for its whole life. No process' settings are here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from vyos_api import __version__

BAD_USAGE = 2
"""Exit code for a command line that cannot be used, as argparse has it."""


def answer(text: str, arguments: Sequence[str]) -> None:
    """Answer what a person asks, and end; without arguments do nothing. `text` begins with "usage: PROGRAM"."""
    program = text.split()[1]
    with readable():
        match arguments:
            case []:
                return
            case ["--version"]:
                print(program, __version__)
            case ["--help" | "-h"]:
                print(text, end="")
            case [first, *_]:
                reason = f"{first!r}: takes no arguments but --help or --version"
                print(f"{program}: {reason}\n{text}", end="", file=sys.stderr)
                sys.exit(BAD_USAGE)
    sys.exit()


@contextlib.contextmanager
def readable(*, end: bool = True) -> Iterator[None]:
    """Where the reader of the output ends before it (`| head`), end with exit code 1 and no traceback, or go on."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        if end:
            sys.exit(1)
