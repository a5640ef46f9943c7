"""The forms in which commands answer: text for people, JSON and YAML for machines. No colour: only `watch` has any."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from typing import Annotated, assert_never

import typer
from rich.table import Table

from vyos_api import yaml_writer


class Output(enum.StrEnum):
    """The forms of an answer."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


Form = Annotated[Output, typer.Option("-o", "--output", help="The form of the answer.")]


def show(form: Output, text: str, data: object) -> None:
    """Print one answer; `text` ends with its own newline."""
    match form:
        case Output.TEXT:
            typer.echo(text, nl=False)
        case Output.JSON:
            typer.echo(json.dumps(data, indent=2))
        case Output.YAML:
            typer.echo(yaml_writer.dump(data), nl=False)
        case _:
            assert_never(form)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """A table, the first row its head; a cell is never cut or folded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def table(title: str, *columns: str) -> Table:
    """A table for `watch`, without rows yet."""
    found = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for column in found.columns:
        column.overflow = "fold"  # nothing of a name is lost on a narrow terminal
    return found
