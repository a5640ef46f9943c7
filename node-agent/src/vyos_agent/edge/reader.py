"""Reads the file of a router without Kubernetes in a process of its own, which ends before the daemon begins its work.

The API's models (pydantic, and YAML below them) take more memory than the whole daemon, and are needed for a moment
only. What the file means is `standalone`'s business; here is how the answer comes over.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vyos_agent.edge import orders
from vyos_agent.edge.orders import Item

READ_S = 60.0
"""Far longer than a start of Python takes on a busy router (0.5 s on an idle one)."""


class FileError(ValueError):
    """The file cannot be used; the text has one line for each field at fault."""


def load(path: Path, node: str, peers: Mapping[str, Sequence[str]]) -> Item:
    """The cluster in the file, as this member's order. Blocks. Raises FileError.

    `peers`: the other members' node addresses, which unicast needs and no manifest tells.
    """
    question = {"path": str(path), "node": node, "peers": {name: list(found) for name, found in peers.items()}}
    command = [sys.executable, "-m", "vyos_agent.edge.standalone"]
    try:
        done = subprocess.run(
            command, input=json.dumps(question).encode(), stdout=subprocess.PIPE, timeout=READ_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FileError(f"{path}: cannot be read: {type(error).__name__} of the process that reads it") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise FileError(f"{path}: cannot be read: the process that reads it ended with {done.returncode}") from None
    if "error" in answer:
        raise FileError(str(answer["error"]))
    found = orders.read([answer], node)
    if found.refused:
        raise FileError(f"{path}: {found.refused[0].message}")
    return found.items[0]
