"""Where the ground keeps its things: never inside the repository.

What can be built again lies in the cache, in folders named after everything that determines
their content, so that a change builds anew and nothing stale is ever used. What belongs to
the ground that runs now lies in STATE, one per machine.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent
STATE = Path("/run/vyos-cluster-ground")  # one ground per machine: its namespaces have fixed names


def cache() -> Path:
    """Return the cache directory, made if missing; VYOS_CLUSTER_CACHE moves it."""
    xdg = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(os.environ.get("VYOS_CLUSTER_CACHE") or f"{xdg}/vyos-cluster")
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


def digest(*parts: Path | str) -> str:
    """Return a short hash of texts, files and whole folders: the key of what is made of them."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(b"text\0" + part.encode() + b"\0")
            continue
        files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
        for file in files:
            if "__pycache__" in file.parts:
                continue
            mode = file.stat().st_mode & 0o777
            total.update(f"{file.relative_to(part.parent)}\0{mode:o}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:12]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time build the thing called `name`; the others wait, and then find it done."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
