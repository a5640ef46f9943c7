"""The forms in which commands answer: text for people, JSON and YAML for machines."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, assert_never

import typer
import yaml


class Form(enum.StrEnum):
    """The forms of an answer."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Form, typer.Option("-o", "--output", help="The form of the answer.")]


def say(form: Form, rows: list[dict[str, Any]], text: str) -> None:
    """Print the answer: the rows for machines, the text for people."""
    match form:
        case Form.TEXT:
            typer.echo(text)
        case Form.JSON:
            typer.echo(json.dumps(rows, indent=2))
        case Form.YAML:
            typer.echo(yaml.safe_dump(rows, sort_keys=False), nl=False)
        case _:
            assert_never(form)
