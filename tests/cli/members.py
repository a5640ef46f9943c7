"""What members answer: `explain` and `report` of groups made up for a test, and a control socket that answers so."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

IPSEC = ("192.168.0.123/24/eth0", "ipsec.service")
MONITOR = "192.0.2.254"


def row(name: str, state: str | None, **changes: Any) -> dict[str, Any]:
    """One member by the criteria of the ranking."""
    heard = state is not None
    built = {"name": name, "state": state, "rank": 0, "candidate": heard, "ready": heard, "monitors": None}
    return built | changes


def group(owner: str | None, *rows: dict[str, Any], state: str = "Owner", **changes: Any) -> dict[str, Any]:
    """One group; the members are preferred in the order in which they are given."""
    built = {
        "name": "cluster",
        "state": state,
        "owner": owner,
        "epoch": 7,
        "reason": "PeerDead",
        "services": None,
        "handover": None,
        "members": [r["name"] for r in rows],
        "maintenance": [],
        "failbackMs": None,
        "resources": list(IPSEC),
        "monitors": {MONITOR: True},
        "candidates": [{**r, "rank": i} for i, r in enumerate(rows)],
    }
    return built | changes


def explained(node: str, *groups: dict[str, Any], cluster: str = "edge", **peers: str) -> dict[str, Any]:
    """An answer to `explain`; peers by name: Alive, Dead, Unheard …"""
    found = [{"name": name, "state": state, "links": ["eth0"][: state == "Alive"]} for name, state in peers.items()]
    return {"ok": True, "node": node, "clusters": [{"cluster": cluster, "groups": list(groups), "peers": found}]}


def reported(node: str, *deviations: dict[str, Any], refused: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """An answer to `report`, without what `explain` tells too."""
    clusters = [{"cluster": "edge", "groups": [], "deviations": list(deviations)}]
    return {"ok": True, "report": {"node": node, "clusters": clusters, "refused": list(refused)}}


class Daemon:
    """Answers on a control socket what it was told to, and keeps what it was asked."""

    def __init__(self, path: Path, answers: Mapping[str, Mapping[str, Any]]) -> None:
        self.path = str(path)
        self.answers = dict(answers)
        self.asked: list[dict[str, Any]] = []
        self.connections = 0

    def answer(self, line: bytes) -> bytes:
        request = json.loads(line)
        self.asked.append(request)
        unknown = {"ok": False, "error": "unknown op"}
        return json.dumps(self.answers.get(request["op"], unknown)).encode() + b"\n"


@contextlib.contextmanager
def daemon(path: Path, **answers: Mapping[str, Any]) -> Iterator[Daemon]:
    """A daemon's control socket, without a daemon."""
    built = Daemon(path, answers)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            built.connections += 1
            for line in self.rfile:
                self.wfile.write(built.answer(line))

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield built
        finally:
            server.shutdown()
            thread.join()
