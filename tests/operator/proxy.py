"""A TCP proxy that stands between the operator and the API server, and can fall silent."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Proxy:
    """Passes bytes. `freeze` silences the connections that are open, `cut` ends them and refuses new ones."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._may_pass: dict[socket.socket, threading.Event] = {}
        self._refusing = False
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def freeze(self) -> None:
        for event in list(self._may_pass.values()):
            event.clear()

    def thaw(self) -> None:
        for event in list(self._may_pass.values()):
            event.set()

    def cut(self) -> None:
        self._refusing = True
        for pair in self._open:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self.thaw()

    def mend(self) -> None:
        self._refusing = False

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for pair in self._open:
            for end in pair:
                end.close()
        self._listener.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._open.append((near, far))
            event = threading.Event()
            event.set()
            self._may_pass[near] = event
            for source, sink in ((near, far), (far, near)):
                self._start(self._pump, source, sink, event)

    def _pump(self, source: socket.socket, sink: socket.socket, may_pass: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                may_pass.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # the other direction ends too, and `close` closes both


@contextlib.contextmanager
def proxy(port: int) -> Iterator[Proxy]:
    found = Proxy(("127.0.0.1", port))
    try:
        yield found
    finally:
        found.close()
