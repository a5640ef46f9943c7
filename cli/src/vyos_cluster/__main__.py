"""Entry point of `vyos-cluster`, and of `kubectl vyos-cluster` under its other name. Commands live beside it."""

from __future__ import annotations

import typer

from vyos_cluster import converting, showing, simulating, watching
from vyos_cluster.lab.commands import app as lab

app = typer.Typer(
    name="vyos-cluster",
    help="VyOS clustering for people. Exit codes: 0 done, 1 refused or failed, 2 wrong usage; show and simulate add 3.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(lab, name="lab")
app.add_typer(showing.app, name="show")
app.command("convert")(converting.command)
app.command("simulate")(simulating.command)
app.command("watch")(watching.command)


def main() -> None:
    """Run the command line; ends the process."""
    app()


if __name__ == "__main__":
    main()
