"""What outlives this process: accepted configurations with their keys, epochs, ways for frames. One directory, 0700.

Written in a thread, because a disk may take seconds; the newest text for a file wins. A file begins with a line that
says what it is and what its digest is: a torn, foreign or future file is reported and ignored, never half believed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vyos_agent.edge import manners
from vyos_agent.edge.way import Way
from vyos_api import nodeconfig
from vyos_api.nodeconfig import ConfigError, KeySet, NodeConfig

logger = logging.getLogger(__name__)

TITLE = "vyos-cluster"
VERSION = 1
CONFIG, EPOCHS, WAYS = ".config", ".epochs", ".ways"
FILE_MAX = 4 << 20
"""More than the largest configuration; whatever is larger is not ours."""
STOP_S = 3.0
"""How long a stop waits for the disk."""


class StateError(ValueError):
    """A file that cannot be believed; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Saved:
    """One cluster as it was accepted last."""

    config: NodeConfig
    keys: KeySet


class State:
    """The directory, or with None nothing at all: then every write is dropped and nothing is found."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._ready = threading.Condition()
        self._todo: dict[Path, bytes | None] = {}
        self._stopping = False
        self._failing: set[Path] = set()
        self._ways: dict[bytes, tuple[Way, ...]] = {}
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)

    def start(self) -> None:
        """Make the directory and begin to write. Raises OSError."""
        if self._directory is not None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._ways = dict(self._read_ways())
            self._thread.start()

    def stop(self) -> None:
        """Write what is left; waits a bounded time."""
        with self._ready:
            self._stopping = True
            self._ready.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    # -- reading, at start

    def clusters(self) -> list[Saved]:
        """Every configuration that can be believed; the others are reported."""
        found = []
        for path in self._files(CONFIG):
            try:
                raw = _read(path)
                config = nodeconfig.node_config_from_dict(raw.get("config"))
                found.append(Saved(config, nodeconfig.key_set_from_dict(raw.get("keys"))))
            except (OSError, StateError, ConfigError) as error:
                logger.error("state: %s is ignored: %s", path, error)
        return found

    def epochs(self, cluster_id: bytes) -> dict[str, int]:
        """The highest epochs that this node knew of, by group."""
        path = self._path(cluster_id, EPOCHS)
        if path is None or not path.exists():
            return {}
        try:
            raw = _read(path).get("epochs")
            if not isinstance(raw, dict) or not all(type(n) is int and n >= 0 for n in raw.values()):
                raise StateError("its epochs are no numbers")
            return raw
        except (OSError, StateError) as error:
            logger.error("state: %s is ignored: %s", path, error)
            return {}

    def ways(self, cluster_id: bytes) -> tuple[Way, ...]:
        """Where frames go, and where they went before a change that is under way; the newest first."""
        return self._ways.get(cluster_id, ())

    def _read_ways(self) -> Iterator[tuple[bytes, tuple[Way, ...]]]:
        for path in self._files(WAYS):
            try:
                yield bytes.fromhex(path.stem), tuple(Way.read(raw) for raw in _read(path)["ways"])
            except (OSError, StateError, LookupError, TypeError, ValueError) as error:
                logger.error("state: %s is ignored: %s", path, error)

    # -- writing, some time soon

    def save(self, cluster_id: bytes, config: NodeConfig, keys: KeySet) -> None:
        """Keep an accepted configuration."""
        body = {"config": nodeconfig.node_config_to_dict(config), "keys": nodeconfig.key_set_to_dict(keys)}
        self._write(self._path(cluster_id, CONFIG), body)

    def save_epochs(self, cluster_id: bytes, cluster: str, epochs: Mapping[str, int]) -> None:
        """Keep the epochs."""
        self._write(self._path(cluster_id, EPOCHS), {"cluster": cluster, "epochs": dict(epochs)})

    def save_ways(self, cluster_id: bytes, ways: tuple[Way, ...]) -> None:
        """Keep where frames go: a life that begins in the middle of a change goes on with it."""
        if self._ways.get(cluster_id) == ways:
            return
        self._ways[cluster_id] = ways
        self._write(self._path(cluster_id, WAYS), {"ways": [way.as_json() for way in ways]})

    def forget(self, cluster_id: bytes) -> None:
        """The node serves this cluster no more."""
        self._ways.pop(cluster_id, None)
        for kind in (CONFIG, EPOCHS, WAYS):
            self._write(self._path(cluster_id, kind), None)

    def _write(self, path: Path | None, body: Mapping[str, Any] | None) -> None:
        if path is None:
            return
        with self._ready:
            self._todo[path] = None if body is None else _text(body)
            self._ready.notify()

    # -- the thread

    def _run(self) -> None:
        manners.join_in()
        while True:
            with self._ready:
                while not self._todo:
                    if self._stopping:
                        return
                    self._ready.wait()
                path, text = self._todo.popitem()
            try:
                _remove(path) if text is None else _replace(path, text)
                self._failing.discard(path)
            except OSError as error:
                if path not in self._failing:
                    self._failing.add(path)
                    logger.error("state: cannot write %s: %s (told once)", path, error.strerror)

    def _path(self, cluster_id: bytes, kind: str) -> Path | None:
        return None if self._directory is None else self._directory / f"{cluster_id.hex()}{kind}"

    def _files(self, kind: str) -> Iterator[Path]:
        if self._directory is not None:
            yield from sorted(self._directory.glob(f"*{kind}"))


def _text(body: Mapping[str, Any]) -> bytes:
    payload = json.dumps(body, sort_keys=True).encode() + b"\n"
    return f"{TITLE} {VERSION} sha256={hashlib.sha256(payload).hexdigest()}\n".encode() + payload


def _read(path: Path) -> dict[str, Any]:
    """The body of a file that `_text` made. Raises OSError or StateError."""
    with path.open("rb") as file:
        data = file.read(FILE_MAX + 1)
    head, _, payload = data.partition(b"\n")
    words = head.decode(errors="replace").split(" ")
    if len(words) != 3 or words[0] != TITLE:
        raise StateError("it is not a state file of this daemon")
    if words[1] != str(VERSION):
        raise StateError(f"its version is {words[1]}, this daemon reads {VERSION}")
    if words[2] != f"sha256={hashlib.sha256(payload).hexdigest()}":
        raise StateError("it is torn (its digest is another)")
    body = json.loads(payload)
    if not isinstance(body, dict):
        raise StateError("it holds no object")
    return body


def _replace(path: Path, text: bytes) -> None:
    """All or nothing, also when the power fails: a new file, synced, renamed, and the rename synced."""
    new = path.with_suffix(path.suffix + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.write(text)
        file.flush()
        os.fsync(fd)
    new.replace(path)
    _sync(path.parent)


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        _sync(path.parent)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
