"""The command line of a process that its environment tells everything: `--help`, `--version`, and nothing else.

Without argparse, which such a process would hold for its whole life. No process' settings are here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vyos_api import __version__

BAD_USAGE = 2
"""Exit code for a command line that cannot be used, as argparse has it."""


def answer(text: str, arguments: Sequence[str]) -> None:
    """Answer what a person asks, and end; without arguments do nothing. `text` begins with "usage: PROGRAM"."""
    program = text.split()[1]
    match arguments:
        case []:
            return
        case ["--version"]:
            print(program, __version__)
        case ["--help" | "-h"]:
            print(text, end="")
        case [first, *_]:
            print(f"{program}: {first!r}: takes no arguments but --help or --version\n{text}", end="", file=sys.stderr)
            sys.exit(BAD_USAGE)
    sys.exit()
