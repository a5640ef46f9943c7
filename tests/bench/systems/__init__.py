"""The daemons under test: how each is configured, run, and asked to move. By their names in build/bench.json."""

from __future__ import annotations

from bench.systems.base import System
from bench.systems.heartbeat import Heartbeat
from bench.systems.keepalived import KeepalivedV2, KeepalivedV3
from bench.systems.ours import VyosCluster
from bench.systems.ucarp import Ucarp

SYSTEMS: dict[str, type[System]] = {s.name: s for s in (VyosCluster, KeepalivedV2, KeepalivedV3, Heartbeat, Ucarp)}
