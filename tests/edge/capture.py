"""What passed over a test's LAN, kept when the test fails: build/captures/<test>.pcap, for wireshark or tcpdump.

The newest frames of each LAN stay in memory while a test runs; nothing is written for one that passes. It is evidence
for a person: no test reads it.
"""

from __future__ import annotations

import collections
import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edge import netns

ETH_P_ALL = 0x0003
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1
"""packet(7)."""
FRAMES_MAX = 20_000
"""Per LAN: some minutes of what tests send, 30 MiB at the most."""
SNAP = 1_514
PCAP_HEADER = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, 1)
"""The classic format of libpcap (pcap-savefile(5)): microseconds, link type 1 (Ethernet)."""
PCAP_RECORD = struct.Struct("=IIII")
POLL_S = 0.2
DIRECTORY = Path("build/captures")


class Recording(threading.Thread):
    """Everything that one interface sees, the oldest forgotten first."""

    def __init__(self, place: str, interface: str) -> None:
        super().__init__(daemon=True)
        self._frames: collections.deque[tuple[float, int, bytes]] = collections.deque(maxlen=FRAMES_MAX)
        self._over = threading.Event()
        self._socket = netns.within(place, lambda: _open(interface))

    def run(self) -> None:
        with self._socket:
            while not self._over.is_set():
                self._take()
            self._socket.settimeout(0)
            while self._take():
                pass

    def _take(self) -> bool:
        try:
            data = self._socket.recv(65_536)
        except OSError:  # nothing came in time, or the interface is down just now
            return False
        self._frames.append((time.time(), len(data), data[:SNAP]))
        return True

    def stop(self) -> None:
        self._over.set()
        self.join()

    def write(self, path: Path) -> int:
        """As a file; how many frames."""
        frames = list(self._frames)
        with path.open("wb") as file:
            file.write(PCAP_HEADER)
            for at_s, length, data in frames:
                file.write(PCAP_RECORD.pack(int(at_s), int(at_s % 1 * 1_000_000), len(data), length))
                file.write(data)
        return len(frames)


_of_this_test: list[Recording] = []


@contextlib.contextmanager
def recorded(place: str, interface: str) -> Iterator[Recording]:
    """Record while the LAN is there; the frames stay until the next test begins."""
    recording = Recording(place, interface)
    _of_this_test.append(recording)
    recording.start()
    try:
        yield recording
    finally:
        recording.stop()


def forget() -> None:
    """A new test begins."""
    _of_this_test.clear()


def keep(test: str, directory: Path = DIRECTORY) -> list[str]:
    """Write what there is of this test; a line for each file."""
    told = []
    name = re.sub(r"[^A-Za-z0-9]+", "-", test).strip("-")
    for number, recording in enumerate(_of_this_test):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{name}-{number}.pcap"
        told.append(f"{path}: {recording.write(path)} frames")
    return told


def _open(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind((interface, ETH_P_ALL))
    index = socket.if_nametoindex(interface)
    # A bridge passes what is for other hosts to its own interface only where that is promiscuous
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("=iHH8s", index, PACKET_MR_PROMISC, 0, b""))
    sock.settimeout(POLL_S)
    return sock
