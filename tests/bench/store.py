"""Where results go: each trial at once, the rows with each job, so that an interrupted run leaves what it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import rows

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
DOCS = ROOT / "docs/benchmarks"


class Store:
    """The files of one run: build/NAME.json, NAME-trials.jsonl, NAME-rest.json."""

    def __init__(self, name: str, run: Mapping[str, Any], directory: Path = BUILD) -> None:
        self.trials: list[dict[str, Any]] = []
        self.rest: list[dict[str, Any]] = []
        self.run = run
        self._directory = directory
        self._name = name
        directory.mkdir(exist_ok=True)
        self._lines = (directory / f"{name}-trials.jsonl").open("w")

    @property
    def rows(self) -> list[rows.Row]:
        """The rows of what was measured so far."""
        return rows.rows(self.trials, self.run)

    def add(self, trial: dict[str, Any]) -> None:
        """Keep a trial."""
        self.trials.append(trial)
        self._lines.write(json.dumps(trial) + "\n")
        self._lines.flush()

    def add_rest(self, figures: dict[str, Any]) -> None:
        """Keep what a system cost at rest."""
        self.rest.append({**figures, **self.run})

    def save(self) -> None:
        """Write the rows."""
        write(self._directory / f"{self._name}.json", self.rows)
        if self.rest:
            write(self._directory / f"{self._name}-rest.json", self.rest)

    def close(self) -> None:
        """Write the rows, and no more."""
        self.save()
        self._lines.close()


def write(path: Path, content: object) -> None:
    """A whole file or none."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content, indent=1) + "\n")
    new.replace(path)
