"""Ask a heartbeat daemon something, by hand or from a test: python -m vyos_agent.control SOCKET OP [JSON].

OP is an op of docs/control-socket.md, JSON the other fields of the request; '-' reads them from stdin, so that keys
need not stand on a command line. Prints the answer; the exit code is 0 when it is ok, 1 when not, 2 for bad usage.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from vyos_api import usage

TIMEOUT_S = 90.0
"""Longer than the longest poll (edge.requests.TIMEOUT_MAX_MS)."""


class ControlError(Exception):
    """The daemon cannot be asked; the text says why."""


class Session:
    """One connection for several requests. It is made with the first, and again after an error."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._open = contextlib.ExitStack()
        self._connected: tuple[socket.socket, BinaryIO] | None = None

    def __str__(self) -> str:
        return str(self._path)

    def request(self, op: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask, and return the whole answer. Raises ControlError."""
        line = json.dumps({**(fields or {}), "op": op}).encode() + b"\n"
        try:
            sock, answers = self._connected or self._connect()
            sock.sendall(line)
            answer = json.loads(answers.readline())
        except OSError as error:
            self.close()
            raise ControlError(f"{self}: {error.strerror or error}") from None
        except ValueError:
            self.close()
            raise ControlError(f"{self}: the daemon closed the connection, or answered no JSON") from None
        if not isinstance(answer, dict):
            raise ControlError(f"{self}: the answer is no object")
        return answer

    def close(self) -> None:
        """End the connection, if there is one."""
        self._connected = None
        self._open.close()

    def _connect(self) -> tuple[socket.socket, BinaryIO]:
        sock = self._open.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        sock.settimeout(TIMEOUT_S)
        sock.connect(str(self._path))
        self._connected = sock, self._open.enter_context(sock.makefile("rb"))
        return self._connected


def request(path: str | Path, op: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Ask once, and return the whole answer. Raises ControlError."""
    with contextlib.closing(Session(path)) as session:
        return session.request(op, fields)


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
    with usage.readable():
        print(json.dumps(answer, indent=2))
    return 0 if answer.get("ok") is True else 1


if __name__ == "__main__":
    sys.exit(main())
