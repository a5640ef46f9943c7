"""Entry point of `vyos-cluster`, and of `kubectl vyos-cluster` under its other name. Commands live beside it."""

from __future__ import annotations

from typing import Annotated

import typer

from vyos_api import __version__
from vyos_cluster import (
    converting,
    explaining,
    forcing,
    history,
    linting,
    restarting,
    showing,
    simulating,
    watching,
)
from vyos_cluster.lab.commands import app as lab

app = typer.Typer(
    name="vyos-cluster",
    help="VyOS clustering for people. Exit codes: 0 done, 1 refused or failed, 2 wrong usage; 3: see the command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(lab, name="lab")
app.add_typer(showing.app, name="show")
app.add_typer(forcing.app, name="force")
app.command("convert")(converting.command)
app.command("explain")(explaining.command)
app.command("history")(history.command)
app.command("lint")(linting.command)
app.command("restart")(restarting.command)
app.command("simulate")(simulating.command)
app.command("watch")(watching.command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vyos-cluster {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; ends the process."""
    app()


if __name__ == "__main__":
    main()
