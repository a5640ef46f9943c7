"""`vyos-cluster lab …`: command lines in, calls of the lab out."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from vyos_cluster.lab import layout
from vyos_cluster.lab.layout import LabError
from vyos_cluster.lab.machines import Lab
from vyos_cluster.lab.probes import Owners, Probe

LOOK_S = 0.1
SLOW_MS = 5_000
"""Nobody likes to wait longer for a failover that he plays with."""
NAME = re.compile(r"[a-z0-9][-a-z0-9]{0,19}")

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Option("--name", help="The lab's name, where several stand beside each other.")]
Router = Annotated[str, typer.Argument(metavar="ROUTER", help="A member of the cluster, such as node1.")]
Port = Annotated[str, typer.Argument(metavar="INTERFACE", help="One of its interfaces, such as eth0.")]


@app.callback()
def _about() -> None:
    """Play failover: routers as network namespaces, the true daemon, no Kubernetes, a client that pings. Needs root.

    In one terminal: vyos-cluster lab up examples/demo.yaml. In another: vyos-cluster lab kill node1.
    """


@app.command()
def up(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A VyosCluster and its Secret, as for kubectl apply.")],
    fast: Annotated[bool, typer.Option("--fast", help="Heartbeats each 200 ms, dead after 3 s.")] = False,
    name: Name = "lab",
) -> None:
    """Build the routers, start the daemons, tell what happens. Ctrl-C takes all of it down again."""
    _guarded(lambda: _up(_lab(name), file, fast=fast))


@app.command()
def down(name: Name = "lab") -> None:
    """End the lab, or take away what a killed one left."""

    def work() -> None:
        lab = _lab(name)
        ended = lab.end_owner()
        typer.echo(f"lab {name} is down" if lab.sweep() or ended else f"there was no lab {name}")

    _guarded(work)


@app.command()
def kill(router: Router, name: Name = "lab") -> None:
    """Kill a router's daemon (SIGKILL): the kernel ends the address, and another router takes it."""
    _guarded(lambda: _lab(name).kill(router))


@app.command()
def start(router: Router, name: Name = "lab") -> None:
    """Start a router's daemon again."""
    _guarded(lambda: _lab(name).start(router))


@app.command()
def cut(router: Router, interface: Port, name: Name = "lab") -> None:
    """Pull the cable of an interface."""
    _guarded(lambda: _lab(name).cable(router, interface, plugged=False))


@app.command()
def mend(router: Router, interface: Port, name: Name = "lab") -> None:
    """Plug the cable in again."""
    _guarded(lambda: _lab(name).cable(router, interface, plugged=True))


def _lab(name: str) -> Lab:
    if not NAME.fullmatch(name):
        raise LabError(f"--name {name}: must be 1 to 20 lower-case letters, digits and '-'")
    if os.geteuid() != 0:
        raise LabError("network namespaces need root; run this with sudo")
    return Lab(name)


def _up(lab: Lab, file: Path, *, fast: bool) -> None:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    planned = layout.plan(text, fast=fast)
    over, began_s, lock = threading.Event(), time.monotonic(), threading.Lock()

    def say(text: str) -> None:
        with lock:
            typer.echo(f"{time.monotonic() - began_s:6.1f} s  {text}")
            sys.stdout.flush()

    def stop(_number: int, _frame: FrameType | None) -> None:
        over.set()

    with lab.owned():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        lab.sweep()
        lab.directory.mkdir(mode=0o700, parents=True)
        probes: list[Probe] = []
        try:
            for note in planned.notes:
                say(f"note: {note}")
            if planned.dead_ms > SLOW_MS:
                say(f"note: a death is noticed after {planned.dead_ms / 1000:g} s here; --fast makes that 3 s")
            lab.build(planned)
            say(f"up: {', '.join(planned.routers)}; Ctrl-C ends it. In another terminal, for instance:")
            say(f"    vyos-cluster lab kill {planned.routers[0]}{'' if lab.name == 'lab' else f' --name {lab.name}'}")
            probes += [Probe(lab, address, say) for address in planned.vips]
            owners = Owners(lab, planned.routers, planned.vips, say)
            while not over.wait(LOOK_S):
                owners.look()
                for probe in probes:
                    probe.look()
        finally:
            for probe in probes:
                probe.stop()
            lab.sweep()
    typer.echo(f"lab {lab.name} is down")


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except LabError as error:
        typer.echo(f"vyos-cluster lab: {error}", err=True)
        raise typer.Exit(1) from None
