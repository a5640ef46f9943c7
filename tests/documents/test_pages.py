"""Links and anchors of all documents lead somewhere, lists are complete, and figures are what the code reckons."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from documents import reading
from documents.reading import ROOT
from spec import promise
from vyos_agent.core import lease
from vyos_agent.core.model import Drop
from vyos_api import __version__, reasons
from vyos_api.durations import parse_ms

PAGES = reading.pages()


def broken(page: str, link: str) -> str | None:
    """Why a link of a page leads nowhere."""
    target, _, anchor = link.partition("#")
    if "://" in target:
        return None
    path = ((ROOT / page).parent / target if target else ROOT / page).resolve()
    if not path.is_relative_to(ROOT) or not path.exists():
        return "there is no such file"
    there = str(path.relative_to(ROOT))
    if anchor and (there not in PAGES or anchor not in reading.anchors(there)):
        return "there is no such heading"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert {link: why for link in reading.links(page) if (why := broken(page, link))} == {}


def test_a_broken_link_is_found() -> None:
    assert broken("docs/start.md", "concept.md") == "there is no such file"
    assert broken("docs/start.md", "concepts.md#choosing") == "there is no such heading"
    assert broken("docs/start.md", "#on-kinds") == "there is no such heading"
    assert broken("docs/start.md", "../../etc") == "there is no such file"
    assert broken("docs/start.md", "concepts.md#choosing-the-intervals") is None


def test_the_index_leads_to_every_page() -> None:
    """A decision is reached from their list."""
    told = {f"docs/{link.partition('#')[0]}" for link in reading.links("docs/index.md")}
    told |= {f"docs/decisions/{link}" for link in reading.links("docs/decisions/README.md")}
    assert {p for p in PAGES if p.startswith("docs/")} - told == {"docs/index.md"}


def test_the_table_of_intervals_is_what_the_code_reckons() -> None:
    row = re.compile(r"^\| (\w+) \| (\w+) \| (\d+) s \| (\d+) \|", re.MULTILINE)
    rows = row.findall(reading.text("docs/concepts.md"))
    assert len(rows) >= 5
    for keepalive, dead, life_s, lost in rows:
        keepalive_ms, dead_ms = parse_ms(keepalive), parse_ms(dead)
        assert lease.lifetime_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms) == int(life_s) * 1000, (keepalive, dead)
        assert promise.lost_frames(dead_ms, keepalive_ms) == int(lost), (keepalive, dead)


def test_what_is_said_of_keepalives_intervals() -> None:
    text = " ".join(reading.text("docs/from-keepalived.md").split())
    assert "forgives three lost frames after a kill; with `keepaliveInterval: 1s` it would forgive none" in text
    assert (promise.lost_frames(3_600, 1_000), promise.lost_frames(3_600, 500)) == (0, 3)


def test_the_symptoms_are_told_in_the_words_of_the_status() -> None:
    table = reading.text("docs/operations.md").partition("## Symptom, command, cause")[2]
    told = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}(?:s|MACs?)?\b|\b[A-Z][a-z]+MACs?\b", table))
    kinds = (reasons.ConditionType, *get_args(reasons.ConditionReason), reasons.OwnershipReason)
    known = {str(word) for kind in kinds for word in kind} | {str(drop) for drop in Drop}
    assert {"SplitBrain", "TwoMACs", "RotatingKey", "BadTag"} <= told
    assert told - known == set()


def test_images_are_told_with_the_version_that_is_built() -> None:
    text = reading.text("docs/start.md") + (ROOT / "kind-config.yaml").read_text()
    assert set(re.findall(r"/vyos-cluster-(?:operator|agent):(\S+)", text)) == {__version__}
