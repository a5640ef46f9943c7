"""Root trees out of Debian packages, by mmdebstrap, from the package sources that this machine itself uses."""

import os
import re
from pathlib import Path

from ground.shell import CAGE, GroundError, run

# Nobody reads them in a test ground: a third of the size
_WITHOUT = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")


def suite() -> str:
    """Return the code name of this machine's Debian: the trees are made of the same."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    if release.get("ID") != "debian":
        raise GroundError(f"this is {release.get('ID')}, not Debian: the ground's nodes are made of Debian packages")
    return release["VERSION_CODENAME"]


def sources() -> list[str]:
    """Return the machine's package sources of its own suite; other vendors' would need other keys."""
    if chosen := os.environ.get("VYOS_CLUSTER_APT_SOURCES"):
        return chosen.split()
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.sources"))]
    files += sorted((folder / "sources.list.d").glob("*.list"))
    word = re.compile(rf"^[^#]*\s{re.escape(suite())}(\s|$)", re.MULTILINE)
    found = [str(file) for file in files if file.exists() and word.search(file.read_text())]
    if not found:
        raise GroundError(
            "no file in /etc/apt names this Debian's suite; set VYOS_CLUSTER_APT_SOURCES to one that does"
        )
    return found


def bootstrap(target: Path, packages: list[str]) -> None:
    """Make a minimal Debian with these packages: a folder, or a tar file if the name says so."""
    without = [f"--dpkgopt=path-exclude={pattern}" for pattern in _WITHOUT]
    include = f"--include={','.join(packages)}"
    env = {**os.environ, "TMPDIR": str(target.parent)}  # which the caller removes, whatever happens
    options = ["--quiet", "--variant=minbase", include, *without]
    run(*CAGE, "mmdebstrap", *options, suite(), str(target), *sources(), env=env)
