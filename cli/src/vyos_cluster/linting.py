"""`vyos-cluster lint`: files, options and exit codes. What is found is said by `lint`."""

from __future__ import annotations

from typing import Annotated

import typer

from vyos_api import durations
from vyos_cluster import lint, reading
from vyos_cluster.advice import Rule
from vyos_cluster.lint import Finding
from vyos_cluster.printing import Form, Output, show
from vyos_cluster.refusal import Refused


def command(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE|-", help="Manifests, checked together; - is the standard input.")
    ],
    output: Form = Output.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for advice too.")] = False,
    allow: Annotated[
        list[Rule] | None, typer.Option("--allow", help="Advice that is not given; may be repeated.")
    ] = None,
    gaps: Annotated[
        str | None,
        typer.Option("--gaps", metavar="DURATION", help="The longest gap between heartbeats measured, such as 900ms."),
    ] = None,
) -> None:
    """Check manifests without a cluster, by the rules of the API, and give advice.

    Each finding is FILE:LINE:COLUMN, its level, the document, the field and what to do. Exit codes: 0 no error, 1 an
    error (with --strict also advice) or a file that cannot be read, 2 wrong usage.
    """
    found = _findings(files, _gap_ms(gaps), allow or [])
    lines = [*(f.line() for f in found), _sum(found)]
    show(output, "".join(f"{line}\n" for line in lines), [f.row() for f in found])
    if any(f.level == lint.ERROR or strict for f in found):
        raise typer.Exit(1)


def _findings(files: list[str], gap_ms: int | None, allow: list[Rule]) -> list[Finding]:
    texts, found = [], []
    names = [reading.title(file) for file in files]
    for name, file in zip(names, files, strict=True):
        try:
            texts.append((name, reading.read(file)))
        except Refused as error:
            found += [Finding(name, at, "", "", text) for at, text in error.faults]
    if texts:
        found += lint.check(texts, gap_ms)
    return sorted((f for f in found if f.rule not in allow), key=lambda f: names.index(f.file))


def _gap_ms(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return durations.parse_ms(int(text) if text.isdecimal() else text)
    except ValueError:
        raise typer.BadParameter("must be a duration such as 900ms or 1.2s", param_hint="--gaps") from None


def _sum(found: list[Finding]) -> str:
    errors = sum(f.level == lint.ERROR for f in found)
    counted = f"{errors} error{'s' if errors != 1 else ''}"
    return f"{counted}, {len(found) - errors} advice"
