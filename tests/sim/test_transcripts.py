"""The ordinary stories happen as they are written down in `transcripts/`; `--rewrite-transcripts` writes them anew."""

from __future__ import annotations

import pathlib

import pytest

from sim.golden import STORIES, Story

FOLDER = pathlib.Path(__file__).parent / "transcripts"


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
def test_a_story_is_told_as_it_is_written_down(story: Story, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{story.__name__}.txt"
    told = "\n".join(story().log) + "\n"
    if request.config.getoption("--rewrite-transcripts"):
        path.write_text(told)
    assert path.exists(), "a new story: write it down with --rewrite-transcripts"
    assert told == path.read_text()


def test_no_transcript_is_without_its_story() -> None:
    assert {p.stem for p in FOLDER.glob("*.txt")} == {s.__name__ for s in STORIES}
