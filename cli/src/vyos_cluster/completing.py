"""`kubectl_complete-vyos_cluster`: by which `kubectl vyos-cluster …` is completed, wherever kubectl itself is.

kubectl runs a program of this name with the words so far, the last one unfinished, and takes one candidate a line and a
directive at the end (the protocol is cobra's). What there is to offer is asked of the command as a shell asks it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Sequence

from vyos_api import usage
from vyos_cluster.__main__ import app

PROGRAM = "vyos-cluster"
NO_FILES, FILES = 4, 0
"""cobra's ShellCompDirectiveNoFileComp and ShellCompDirectiveDefault: where nothing is to offer, files may be meant."""


def offer(words: Sequence[str]) -> str:
    """The candidates for the last word, one a line, and the directive."""
    begun = words[-1] if words else ""
    asked = {
        "_VYOS_CLUSTER_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join([PROGRAM, *words]),
        "COMP_CWORD": str(max(1, len(words))),
    }
    os.environ.update(asked)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app(prog_name=PROGRAM)
    found = said.getvalue().split()
    files = not found and not begun.startswith("-")
    return "\n".join([*found, f":{FILES if files else NO_FILES}", ""])


def main() -> None:
    """Answer kubectl."""
    with usage.readable():
        sys.stdout.write(offer(sys.argv[1:]))
