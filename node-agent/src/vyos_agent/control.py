"""Ask a heartbeat daemon something, by hand or from a test: python -m vyos_agent.control SOCKET OP [JSON].

OP is an op of docs/control-socket.md, JSON the other fields of the request; '-' reads them from stdin, so that keys
need not stand on a command line. Prints the answer; the exit code is 0 when it is ok, 1 when not, 2 for bad usage.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TIMEOUT_S = 90.0
"""Longer than the longest poll (edge.requests.TIMEOUT_MAX_MS)."""


class ControlError(Exception):
    """The daemon cannot be asked; the text says why."""


def request(path: str | Path, op: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask, and return the whole answer. Raises ControlError."""
    line = json.dumps({**(fields or {}), "op": op}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(TIMEOUT_S)
            sock.connect(str(path))
            sock.sendall(line)
            with sock.makefile("rb") as answers:
                answer = json.loads(answers.readline())
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise ControlError(f"{path}: the daemon closed the connection, or answered no JSON") from None
    if not isinstance(answer, dict):
        raise ControlError(f"{path}: the answer is no object")
    return answer


def main(argv: Sequence[str] | None = None) -> int:
    """See the module's text."""
    args = sys.argv[1:] if argv is None else list(argv)
    if len(args) not in (2, 3):
        print("usage: python -m vyos_agent.control SOCKET OP [JSON | -]", file=sys.stderr)
        return 2
    text = sys.stdin.read() if args[2:] == ["-"] else (args[2] if args[2:] else "{}")
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        print("the fields of the request must be a JSON object", file=sys.stderr)
        return 2
    try:
        answer = request(args[0], args[1], fields)
    except ControlError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=2))
    return 0 if answer.get("ok") is True else 1


if __name__ == "__main__":
    sys.exit(main())
