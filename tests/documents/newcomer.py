"""`make newcomer`: how long it takes from a clean clone to a failover, by the commands of README.md alone.

Clones the last commit into a folder that is removed at the end, and runs the blocks that say `run: lab` as they stand,
`make setup` among them. A measurement, not a test: it needs the package index.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from documents.reading import ROOT
from documents.test_lab import MOVED, READY, terminal
from documents.test_run import marked, run

PROMISED_S = 180
"""What a newcomer may need (README.md has what was measured)."""


def main() -> int:
    """Measure; 1 where it took too long."""
    begun_s = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - begun_s:6.1f} s  {what}", flush=True)

    first, kill = marked("README.md", "lab")
    with tempfile.TemporaryDirectory(prefix="vyos-cluster-newcomer-") as folder:
        clone = Path(folder) / "clone"
        os.environ |= {"UV_CACHE_DIR": f"{folder}/cache", "PIP_NO_CACHE_DIR": "1"}  # as on a machine that never had it
        subprocess.run(["git", "clone", "--quiet", f"file://{ROOT}", str(clone)], check=True)
        tell("cloned")
        with terminal(first, clone, Path(folder) / "log", 2 * PROMISED_S) as up:
            up.wait("up: node1, node2")
            tell("installed (`make setup`), and the lab is up")
            up.wait(*READY)
            tell("node1 owns the address, and it answers")
            up.wait_peers()
            run([kill], clone)
            up.wait(*MOVED)
            took_s = time.monotonic() - begun_s
            tell("node1 was killed, node2 owns the address, and it answers again")
    print(f"{took_s:.0f} s in all, on {os.cpu_count()} processors; promised are {PROMISED_S} s")
    return int(took_s > PROMISED_S)


if __name__ == "__main__":
    sys.exit(main())
