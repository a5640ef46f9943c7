"""What holds for the repository as a whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_package_shadows_the_standard_library() -> None:
    """With an __init__.py in operator/, every Python started in the root would die importing `collections`."""
    assert not (ROOT / "operator/__init__.py").exists()


@pytest.mark.parametrize(
    "package", ["crds/src/vyos_api", "operator/src/vyos_operator", "node-agent/src/vyos_agent", "cli/src/vyos_cluster"]
)
def test_every_module_says_why_it_exists(package: str) -> None:
    silent = [p.name for p in (ROOT / package).rglob("*.py") if not p.read_text().lstrip().startswith('"""')]
    assert silent == []


def test_links_in_documents_lead_somewhere() -> None:
    broken = []
    for document in tracked("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert broken == []


def test_every_make_target_that_is_told_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = {
        t for p in tracked("*.md", "*.py") for t in re.findall(r"(?:`|\n)make ([a-z0-9][a-z0-9-]*)[`\n]", p.read_text())
    }
    assert {"demo", "test", "check"} <= told <= targets
