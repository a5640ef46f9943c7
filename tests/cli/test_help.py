"""What every command owes: help that teaches and loses no word, completion, and no colour into a pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from vyos_cluster.__main__ import app

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("vyos-cluster")
FORCED = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "CLICOLOR_FORCE")
"""Variables by which somebody asks for colour in pipes."""


def run(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """The program as a shell has it, its output in pipes."""
    env = {k: v for k, v in os.environ.items() if k not in FORCED} | {
        "TERM": "xterm-256color",
        "COLUMNS": "160",
        **extra,
    }
    return subprocess.run([PROGRAM, *words], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def commands(command: click.Command, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield at, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*at, name))


ALL = list(commands(typer.main.get_command(app)))


def said(text: str) -> str:
    """The words alone: frames and line breaks are the terminal's."""
    return " ".join(re.sub(r"[│╭╮╰╯─`]", " ", text).split())


def test_there_are_commands() -> None:
    assert {("convert",), ("lint",), ("simulate",), ("watch",), ("lab", "up"), ("show", "status")} <= {
        at for at, _ in ALL
    }


@pytest.mark.parametrize(("at", "command"), ALL, ids=[" ".join(at) or "vyos-cluster" for at, _ in ALL])
def test_help(at: tuple[str, ...], command: click.Command) -> None:
    """Each command and option says what it is, and all of it is shown: a [bracket] would pass for markup."""
    done = run(*at, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert command.help
    shown = said(done.stdout)
    first, *_ = command.help.split("\n\n")
    assert said(first) in shown
    for parameter in command.params:
        told = getattr(parameter, "help", None)
        assert told, f"{parameter.name} says nothing"
        missing = [word for word in said(told).split() if word not in shown]
        assert missing == [], parameter.name


@pytest.mark.parametrize(
    "at", [at for at, command in ALL if not hasattr(command, "commands") and at[0] != "lab"], ids=" ".join
)
def test_exit_codes_are_told(at: tuple[str, ...]) -> None:
    """By the command or by the group that it is in. (Those of `lab` stand in the help of the whole.)"""
    told = [command.help or "" for name, command in ALL if name and name == at[: len(name)]]
    assert any("Exit codes: 0" in said(text) for text in told)


@pytest.mark.parametrize(
    "words",
    [
        ("lint", "examples/seed.yaml"),
        ("lint", "nowhere"),
        ("lint", "--nix"),
        ("convert", "nowhere"),
        ("convert", "--to", "vyos", "examples/seed.yaml"),
        ("watch", "--once", "--socket", "nowhere"),
        ("simulate", "--down", "a", "--socket", "nowhere"),
        ("show", "status", "--socket", "nowhere"),
        ("history", "--socket", "nowhere"),
        ("restart", "--socket", "nowhere"),
        ("lab", "up", "nowhere"),
        ("lab", "up", "--nix"),
        ("nix",),
        (),
    ],
    ids=" ".join,
)
def test_no_colour_into_pipes_and_no_traceback(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode in (0, 1, 2)
    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered(shell: str) -> None:
    done = run(_VYOS_CLUSTER_COMPLETE=f"source_{shell}")
    assert done.returncode == 0
    assert f"complete_{shell}" in done.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vyos-cluster li", {"lint"}),
        ("vyos-cluster hi", {"history"}),
        ("vyos-cluster history -o ", {"json", "text", "yaml"}),
        ("vyos-cluster lab ", {"cut", "down", "kill", "mend", "start", "up"}),
        ("vyos-cluster convert --to ", {"commands", "kubernetes", "vyos"}),
        ("vyos-cluster lint -o ", {"json", "text", "yaml"}),
        ("vyos-cluster lint --allow single", {"single-monitor"}),
        ("vyos-cluster lint --st", {"--strict"}),
    ],
)
def test_completion(line: str, offered: set[str]) -> None:
    done = run(_VYOS_CLUSTER_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(line.split(" ")) - 1))
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize(
    ("words", "offered", "directive"),
    [
        (("hi",), {"history"}, ":4"),
        (("show", ""), {"status"}, ":4"),
        (("force", "a"), {"active"}, ":4"),
        (("show", "status", "-o", "j"), {"json"}, ":4"),
        (("lint", ""), set(), ":0"),
        (("nix", ""), None, None),
        ((), None, ":4"),
        (("--he",), {"--help"}, ":4"),
    ],
)
def test_completion_by_kubectl(words: tuple[str, ...], offered: set[str] | None, directive: str | None) -> None:
    program = PROGRAM.with_name("kubectl_complete-vyos_cluster")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert offered in (None, set(lines))
    assert re.fullmatch(r":[04]", last)
    assert directive in (None, last)
