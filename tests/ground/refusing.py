"""A TLS proxy before an API server that can answer in its place: 429 with Retry-After, 500, or not at all.

A real API server does not let itself be brought to that with certainty: even a priority level without a seat serves one
request at a time. While it is well it passes on what comes. Who logs in with a certificate cannot go through it, who
has a token can.

    with refusing(server) as way:
        kubeconfig = way.kubeconfig(path_of_another)
        way.refuse(429)
        ...
        way.refuse(500, only="/apis/events.k8s.io/")
        ...
        way.mend()
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ground.apiserver import ApiServer

RETRY_AFTER_S = 1
"""What an API server says with a 429 (retryAfter in apiserver/pkg/server/filters/maxinflight.go)."""
END = b"\r\n\r\n"
REASONS = {429: "TooManyRequests", 500: "InternalError"}
NO_ANSWER = 0
"""As a status: the connection is closed instead."""


class Refusing:
    """The proxy; `refused` has the moment, method and path of each request that it answered itself."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        folder = server.kubeconfig.parent
        self._near = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._near.load_cert_chain(folder / "apiserver.crt", folder / "apiserver.key")
        self._far = ssl.create_default_context(cafile=str(server.ca_file))
        self._port = int(server.url.rpartition(":")[2])
        self._status: int | None = None
        self._only = ""
        self._open: set[socket.socket] = set()
        self.refused: list[tuple[float, str, str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def kubeconfig(self, direct: Path) -> Path:
        """A copy of a kubeconfig that goes through here."""
        found = direct.with_name(f"refusing-{self.port}-{direct.name}")
        found.write_text(direct.read_text().replace(self._server.url, f"https://127.0.0.1:{self.port}"))
        return found

    def refuse(self, status: int, *, only: str = "", watches: bool = True) -> None:
        """Answer everything below that path so from now on; `watches`: cut those that run, too."""
        self._only, self._status = only, status
        if watches:
            self._cut()

    def mend(self) -> None:
        """Pass everything on again."""
        self._status = None

    def close(self) -> None:
        """End it, and every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def _cut(self) -> None:
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            near = stack.enter_context(self._near.wrap_socket(stack.enter_context(plain), server_side=True))
            self._keep(stack, near)
            head, body = _request(near)
            method, path, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
            status = self._status
            if status is not None and path.startswith(self._only):
                self.refused.append((time.monotonic(), method, path))
                if status != NO_ANSWER:
                    _refuse(near, status)
                return
            far_plain = stack.enter_context(socket.create_connection(("127.0.0.1", self._port)))
            far = stack.enter_context(self._far.wrap_socket(far_plain, server_hostname="localhost"))
            self._keep(stack, far)
            # One request a connection, so that the next one is looked at, too
            line, *headers = [h for h in head.split(b"\r\n") if not h.lower().startswith(b"connection:")]
            far.sendall(b"\r\n".join([line, *headers, b"Connection: close"]) + END + body)
            _pump(far, near)

    def _keep(self, stack: contextlib.ExitStack, end: socket.socket) -> None:
        self._open.add(end)
        stack.callback(self._open.discard, end)


def _refuse(near: socket.socket, status: int) -> None:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "as told to"}
    text = json.dumps({**body, "reason": REASONS[status], "code": status}).encode()
    lines = [f"HTTP/1.1 {status} {REASONS[status]}", "Content-Type: application/json"]
    lines += [f"Retry-After: {RETRY_AFTER_S}"] if status == 429 else []
    lines += [f"Content-Length: {len(text)}", "Connection: close", "", ""]
    near.sendall("\r\n".join(lines).encode() + text)


def _request(near: socket.socket) -> tuple[bytes, bytes]:
    """One request: its head without the empty line, and its body."""
    data = b""
    while END not in data:
        data += _some(near)
    head, _, body = data.partition(END)
    length = re.search(rb"(?im)^content-length: *(\d+)", head)
    while length and len(body) < int(length[1]):
        body += _some(near)
    return head, body


def _some(source: socket.socket) -> bytes:
    found = source.recv(65536)
    if not found:
        raise ConnectionError("it ended in the middle of a request")
    return found


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def refusing(server: ApiServer) -> Iterator[Refusing]:
    """A proxy for the length of a `with`."""
    found = Refusing(server)
    try:
        yield found
    finally:
        found.close()
