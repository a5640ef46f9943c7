"""`vyos-cluster convert`: files and exit codes. What VyOS says is read by `vyos`, and written by `export`."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from vyos_api import environment, yaml_writer
from vyos_cluster import export, reading, vyos, words
from vyos_cluster.refusal import Note, Refused


class To(enum.StrEnum):
    """What `convert` writes."""

    KUBERNETES = "kubernetes"
    VYOS = "vyos"
    COMMANDS = "commands"


def command(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="What to read; - is the standard input.")],
    to: Annotated[To, typer.Option(help="vyos: config.boot's braces; commands: `set` lines.")] = To.KUBERNETES,
    name: Annotated[
        str | None, typer.Option(help="The VyosCluster's name; edge if neither this nor a comment names it.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Where the operator runs; vyos-cluster if neither this nor a comment tells.")
    ] = None,
) -> None:
    """Convert a VyOS configuration to a VyosCluster with its Secret, or back.

    vyos-cluster convert /config/config.boot | kubectl apply -f -

    What cannot be carried is named on stderr. Exit codes: 0 written, 1 refused, 2 wrong usage.
    """
    title = reading.title(file)
    try:
        written, notes = _convert(reading.read(file), to, name, namespace)
    except Refused as error:
        for line in error.lines(title):
            typer.echo(line, err=True)
        raise typer.Exit(1) from None
    for note in notes:
        typer.echo(note.line(title), err=True)
    typer.echo(written, nl=False)


def _convert(text: str, to: To, name: str | None, namespace: str | None) -> tuple[str, list[Note]]:
    if to is not To.KUBERNETES:
        if name or namespace:
            raise typer.BadParameter("--name and --namespace are for the way to Kubernetes")
        return export.export(text, to is To.COMMANDS)
    if namespace is not None and not environment.NAMESPACE_SYNTAX.fullmatch(namespace):
        raise typer.BadParameter(
            f"--namespace: {namespace!r} is no namespace: 1 to 63 lower-case letters, digits and '-'"
        )
    source = words.read(text)
    said = vyos.names_in(source) or vyos.Names()
    secret = said.secret if name is None else None
    names = vyos.Names(name or said.cluster, namespace or said.namespace, secret, said.key)
    note = Note.comments(vyos.comments_in(source))
    written = yaml_writer.dump_all(vyos.manifests(source, names))
    return written, [note] if note else []
