"""What the benchmark needs to know of a system. A new one is a class with these members, and a line in SYSTEMS."""

from __future__ import annotations

import abc
import os
import signal
from pathlib import Path
from typing import ClassVar

from bench.cage import Cage
from bench.lan import VIPS
from bench.words import Setting


class NotAvailable(Exception):
    """The system has no way to do this; the text says what is missing. Its row is left out, with that line."""


class System(abc.ABC):
    """One system at one setting on two routers."""

    name: ClassVar[str]
    """As in build/bench.json."""
    settings: ClassVar[tuple[str, ...]]
    """What it can be configured to."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Debian's; their versions stand with every figure."""
    second_link: ClassVar[bool] = False
    """Whether a second heartbeat link changes what it does when the address' own link is cut."""
    calm_ms: ClassVar[int] = 2_000
    """One owner for so long means that it has settled."""
    rest_ms: ClassVar[int] = 0
    """Wait so long before a fault, beyond a steady state: timers of its own that would be measured instead."""
    rest_partition_ms: ClassVar[int] = 0
    """The same before a partition."""

    def __init__(self, setting: Setting, directory: Path, *, links: int = 1, groups: int = 1) -> None:
        self.setting = setting
        self.links = links
        self.addresses = VIPS[:groups]
        self._directory = directory

    def directory(self, node: str) -> Path:
        """A router's files; they outlive the daemon, as a disk does."""
        found = self._directory / self.name / node
        found.mkdir(parents=True, exist_ok=True)
        return found

    def log(self, node: str) -> Path:
        """What its daemon says."""
        return self.directory(node) / "log"

    def put(self, node: str, name: str, text: str, mode: int = 0o644) -> Path:
        """Write one of a router's files."""
        path = self.directory(node) / name
        path.write_text(text)
        path.chmod(mode)
        return path

    @property
    def dead_ms(self) -> float:
        """After how long a silent owner is replaced, by the system's own rule."""
        return self.setting.dead_ms

    @property
    def boot_ms(self) -> int:
        """Both are steady so long after a cold start, at the latest."""
        return 8_000 + 6 * self.setting.dead_ms + 1_000 * (len(self.addresses) - 1)

    def setup(self, node: str) -> str:
        """Write the configuration; shell to run in the cage before the daemon."""
        return ""

    @abc.abstractmethod
    def command(self, node: str) -> str:
        """Shell that becomes the daemon, or starts it."""

    def main(self, cage: Cage) -> int:
        """The process that signals go to."""
        return cage.named(self.name.encode())

    def ready(self, node: str) -> bool:
        """Whether the daemon itself finds everything well, where it can be asked."""
        return True

    def refused(self, node: str) -> int | None:
        """How many frames the daemon has read and refused; None where it does not say."""
        return None

    def stop(self, cage: Cage) -> None:
        """Ask for a graceful end, and come back at once."""
        os.kill(self.main(cage), signal.SIGTERM)

    def switch(self, cage: Cage) -> None:
        """Have r1 give up its groups, and come back at once. Raises NotAvailable."""
        raise NotAvailable(f"{self.name} has no command for it")

    def switch_back(self, cage: Cage) -> bool:
        """Have r1 take its groups again; False where only a new start does that."""
        return False
