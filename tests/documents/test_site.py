"""The site is built with every warning an error, and its pages load nothing from anywhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from documents.reading import ROOT, pages

LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("iframe", "src"),
    ("link", "href"),
    ("source", "src"),
    ("form", "action"),
}
"""Attributes whose address a browser fetches by itself; a link that a reader follows (a, href) is another matter."""


def build(root: Path, to: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(to)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=root, env=quiet, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    done = build(ROOT, to)
    assert done.returncode == 0, done.stderr
    return to


def fetched(html: str) -> Iterator[str]:
    """What a browser loads for a page, beside the page's own folder."""
    found: list[str] = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attrs if (tag, name) in LOADING and value)

    Parser().feed(html)
    styles = re.findall(r"url\(([^)]+)\)|@import ['\"]([^'\"]+)", html)
    yield from (a for a in [*found, *(u or i for u, i in styles)] if re.match(r"['\"]?(https?:)?//", a))


def test_every_document_is_a_page(site: Path) -> None:
    wanted = {p.removeprefix("docs/") for p in pages() if p.startswith("docs/")}
    made = {str(p.relative_to(site)) for p in site.rglob("*.html")} - {"404.html"}
    assert {re.sub(r"README\.md$", "index.md", p).removesuffix(".md") + ".html" for p in wanted} == made


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    found = {}
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        if outside := list(fetched(path.read_text(encoding="utf-8"))):
            found[str(path.relative_to(site))] = outside
    assert found == {}


def test_what_would_be_loaded_is_found() -> None:
    assert list(fetched('<p><img src="a.png"><script src="https://x.org/y.js"></script>')) == ["https://x.org/y.js"]
    assert list(fetched("<style>@import '//x.org/f.css'; p {background: url(https://x.org/p)}</style>")) != []
    assert list(fetched('<a href="https://x.org">there</a>')) == []


def test_no_diagram_waits_for_a_script(site: Path) -> None:
    """The theme fetches a program from the network where a page has a diagram of this class."""
    assert [p.name for p in site.rglob("*.html") if re.search(r'class="[^"]*\bmermaid\b', p.read_text())] == []


def test_faults_end_the_build(tmp_path: Path) -> None:
    faults = ("nowhere.md", "#nowhere", "../README.md")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# Here\n\n" + "".join(f"[there]({fault})\n" for fault in faults))
    (tmp_path / "docs/forgotten.md").write_text("# Nobody leads here\n")
    settings = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(f"{settings}\nnav: [index.md]\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert [fault for fault in (*faults, "forgotten.md") if fault not in done.stderr] == []
