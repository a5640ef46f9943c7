"""`make pictures`: the live view as a terminal shows it, and pages of the site as a browser does, for docs/pictures.

The view is that of a lab whose owner was killed, by the real command on a terminal; the pages are those of a site that
is built for it. Somebody has to look at them: nothing here judges. Needs root (the lab), and Debian's chromium.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from documents.reading import ROOT
from documents.test_run import BIN
from vyos_cluster.lab.machines import Lab

PICTURES = ROOT / "docs/pictures"
SITE = ROOT / "build/pictures"
BROWSER = "chromium"
PAGES = ("index", "start", "fields", "cli", "protocol")
SIZE = "1280,1400"
COLUMNS, LINES = 118, 24
NAME = "pictures"
PATIENCE_S = 60.0


def main() -> int:
    """Draw all; the paths."""
    if shutil.which(BROWSER) is None:
        print(f"pictures: there is no {BROWSER}; on Debian: apt-get install {BROWSER}", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    watch = PICTURES / "watch.svg"
    watch.write_text(drawn(watched(), "vyos-cluster watch, on node2, after node1's daemon was killed"))
    build_site()
    made = [watch, *(shot(page) for page in PAGES)]
    print(f"pictures: {', '.join(str(path.relative_to(ROOT)) for path in made)}; look at them")
    return 0


def watched() -> str:
    """What `watch` shows on a terminal, some seconds after a failover in the lab."""
    with lab() as there:
        socket = there.directory / "r1/control.sock"
        _wait(lambda: _owner(there) == "node1", "node1 to own")
        there.kill("node1")
        _wait(lambda: _owner(there) == "node2", "node2 to own")
        return _on_a_terminal("watch", "--once", "--socket", str(socket))


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """A lab of the example, for the length of a `with`."""
    there = Lab(NAME)
    command = [str(BIN / "vyos-cluster"), "lab", "up", "examples/demo.yaml", "--name", NAME]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(there.namespaces, "the lab")
            yield there
        finally:
            process.terminate()


def drawn(screen: str, title: str) -> str:
    """What a terminal showed as SVG, which loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(screen))
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="watch")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL) + "\n"


def build_site() -> None:
    """Not strictly, as `make docs` does it: the pictures may be the very thing that is missing."""
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(SITE)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=True)


def shot(page: str) -> Path:
    """A page of the site as the browser shows it."""
    path = PICTURES / f"site-{page}.png"
    with tempfile.TemporaryDirectory(prefix="vyos-cluster-browser-") as profile:
        command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--window-size={SIZE}", f"--screenshot={path}"]
        subprocess.run([*command, f"file://{SITE}/{page}.html"], check=True, capture_output=True, timeout=PATIENCE_S)
    return path


def _on_a_terminal(*words: str) -> str:
    terminal, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    with subprocess.Popen([BIN / "vyos-cluster", *words], env=environment, stdout=slave, stderr=slave) as process:
        os.close(slave)
        parts = []
        with contextlib.suppress(OSError):  # the terminal's end, when the program ends
            while data := os.read(terminal, 65536):
                parts.append(data)
        os.close(terminal)
    if process.returncode:
        raise SystemExit(f"pictures: {' '.join(words)} ended with {process.returncode}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def _owner(there: Lab) -> str | None:
    report = there.report("node2")
    groups = report["clusters"][0]["groups"] if report and report["clusters"] else []
    owner: str | None = groups[0]["owner"] if groups else None
    return owner


def _wait(condition: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end_s:
            raise SystemExit(f"pictures: waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
