"""What is wrong with a command that a document tells: programs, options, values and fields that do not exist.

Nothing is run. What a command does is another question (test_run.py, test_api_server.py); here a page that names an
option of last year fails. A program that is not known here fails too, so that every command is looked at.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
import yaml

from documents.reading import ROOT
from product import AGENT, AGENTS_NAMESPACE, NAME, NAMESPACE, OPERATOR
from vyos_agent import heartbeat
from vyos_api import crd, names
from vyos_cluster.__main__ import app

Words = list[str]
KINDS = {
    "clusterrolebinding", "rolebinding",
    "configmap", "crd", "daemonset", "deployment", "event", "namespace", "node", "pod", "secret", "service",
}  # fmt: skip
"""Resources of Kubernetes that the documents speak of, in the singular."""
VERBS = {
    "annotate", "api-resources", "apply", "cordon", "create", "delete", "describe", "drain", "exec", "explain", "get",
    "label", "logs", "patch", "rollout", "uncordon", "wait",
}  # fmt: skip
PLAIN = {"cd", "ip", "arping", "git", "tcpdump", "systemctl", "openssl", "echo", "nft", "conntrackd", "eval"}
"""Programs of the system: not ours to check."""
RELEASE = {f"deployment/{NAME}-operator", OPERATOR, f"daemonset/{AGENT}"}
NAMESPACES = {NAMESPACE, AGENTS_NAMESPACE, "default"}
VALUED = {"-n", "-f", "-o", "-p", "-c", "-l", "--namespace", "--patch", "--selector", "--field-selector", "--config"}
"""Options whose value is the next word."""


def problems(block: str, files: Iterable[str] = ()) -> list[str]:
    """What is wrong with a block of commands; `files`: those that the page itself brings."""
    return [f"{' '.join(words)}: {why}" for words in commands(block) for why in _judge(words, frozenset(files))]


def commands(block: str) -> Iterator[Words]:
    """The commands of a block, those in $( ) and behind pipes among them."""
    for line in re.sub(r"\\\n\s*", " ", block).splitlines():
        yield from _line(line)


def _line(line: str) -> Iterator[Words]:
    while (inner := re.search(r"\$\(([^()]*)\)", line)) is not None:
        yield from _line(inner[1])
        line = line[: inner.start()] + "SUBSTITUTE" + line[inner.end() :]
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: Words = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        else:
            words.append(word)


def _judge(words: Words, files: frozenset[str]) -> Iterator[str]:
    program, *rest = words
    judge = PROGRAMS.get(program.removeprefix(".venv/bin/"))
    if judge is not None:
        yield from judge(rest, files)
    elif program not in PLAIN:
        yield f"nothing here knows the program {program}: teach it to tests/documents/commands.py"


def _make(words: Words, _files: frozenset[str]) -> Iterator[str]:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    yield from (f"the Makefile has no target {w}" for w in words if "=" not in w and w not in targets)


def _vyos_cluster(words: Words, _files: frozenset[str]) -> Iterator[str]:
    command: Any = typer.main.get_command(app)  # typer's own copy of click, whose types are private
    for word in words:
        below = getattr(command, "commands", None)
        if below is not None and re.fullmatch("[a-z][a-z-]*", word):
            if word not in below:
                yield f"vyos-cluster has no command {word}"
                return
            command = below[word]
        elif re.match("-.", word):
            known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            if word.partition("=")[0] not in known:
                yield f"{command.name} has no option {word}"


def _heartbeat(words: Words, _files: frozenset[str]) -> Iterator[str]:
    known = set(heartbeat._parser()._option_string_actions)
    yield from (f"vyos-cluster-heartbeat has no option {w}" for w in words if w[0] == "-" and w not in known)


def _python(words: Words, _files: frozenset[str]) -> Iterator[str]:
    if "-m" not in words:
        yield "only modules are run here"
    elif importlib.util.find_spec(words[words.index("-m") + 1]) is None:
        yield "there is no such module"


def _helm(words: Words, files: frozenset[str]) -> Iterator[str]:
    verb, release, *rest = words if len(words) > 1 else [*words, NAME]  # in a text, `helm uninstall` will do
    if verb not in ("install", "upgrade", "uninstall", "rollback", "test") or release != NAME:
        yield f"helm {verb} {release} is not how the documents call the release"
    if verb in ("install", "upgrade"):
        yield from _file(rest[0] + "/Chart.yaml", files)
    for option, value in _options(rest):
        if option == "--set":
            keys = [pair.partition("=")[0] for pair in value.split(",")]
            yield from (f"the chart has no value {key}" for key in keys if not is_value(key))
        elif option == "--namespace" and value != NAMESPACE:
            yield f"the release lives in {NAMESPACE}"


def _builder(words: Words, files: frozenset[str]) -> Iterator[str]:
    """Docker and kind: the files that they are given."""
    for option, value in _options(words):
        if option in ("-f", "--config"):
            yield from _file(value, files)


def _kubectl(words: Words, files: frozenset[str]) -> Iterator[str]:
    if "--" in words:
        at = words.index("--")
        yield from _judge(words[at + 1 :], files)
        words = words[:at]
    options = list(_options(words))
    plain = list(_arguments(words))
    if plain[0] == NAME:
        yield from _vyos_cluster(plain[1:], files)
        return
    if plain[0] not in VERBS:
        yield f"nothing here knows kubectl {plain[0]}"
    for option, value in options:
        if option == "-f" and value != "-":
            yield from _file(value, files)
        elif option in ("-n", "--namespace") and value not in NAMESPACES:
            yield f"no namespace of ours is called {value}"
    yield from _objects(plain, options)


def _objects(plain: Words, options: list[tuple[str, str]]) -> Iterator[str]:
    verb, *rest = plain
    if verb == "explain":
        path = rest[0].partition(".")[2]
        if not is_field(path):
            yield f"there is no field {path}"
        return
    named = [w for w in rest if not w.startswith(("SUBSTITUTE", "$"))]
    if verb in ("rollout", "create") and named:
        named = named[1:] if verb == "rollout" else named[:1]
    if verb in ("cordon", "uncordon", "drain", "exec") or not named:
        return
    for word in named if "/" in named[0] else named[:1]:
        kind = word.partition("/")[0]
        if kind in ("deployment", "daemonset") and "/" in word and word not in RELEASE:
            yield f"the chart makes no {word}"
        if kind.removesuffix("s") not in KINDS | {names.KIND.lower()} and kind != "vyc":
            yield f"nothing here knows the resource {kind}"
    if named[0].partition("/")[0].removesuffix("s") == names.KIND.lower():
        yield from _fields(options)


def _fields(options: list[tuple[str, str]]) -> Iterator[str]:
    """Fields of a VyosCluster that a patch or a jsonpath names."""
    for option, value in options:
        if option in ("-p", "--patch"):
            patch = json.loads(value)
            told = [p["path"] for p in patch] if isinstance(patch, list) else list(_paths(patch))
            paths = [re.sub(r"/(\d+|-)(?=/|$)", "[]", p).strip("/").replace("/", ".") for p in told]
            yield from (f"there is no field {p}" for p in paths if not is_field(p))
        elif value.startswith("jsonpath="):
            known = {part for path in fields() for part in re.findall(r"\w+", path)} | {"items", "metadata", "name"}
            told = [w for expression in re.findall(r"\{[^{}\"]*\}", value) for w in re.findall(r"\.(\w+)", expression)]
            yield from (f"no field is called {w}" for w in told if w not in known)


def _paths(patch: Mapping[str, Any], at: str = "") -> Iterator[str]:
    for name, value in patch.items():
        yield f"{at}/{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{at}/{name}")


def _options(words: Words) -> Iterator[tuple[str, str]]:
    for word, value in itertools.zip_longest(words, words[1:], fillvalue=""):
        if word[0] == "-":
            option, equals, given = word.partition("=")
            yield (option, given) if equals else (option, value)


def _arguments(words: Words) -> Iterator[str]:
    """The words that are no options nor their values."""
    before = ""
    for word in words:
        if word[0] != "-" and before not in VALUED:
            yield word
        before = word


def _file(path: str, files: frozenset[str]) -> Iterator[str]:
    if path not in files and not (ROOT / path).exists():
        yield f"there is no file {path}"


@functools.cache
def fields() -> frozenset[str]:
    """The path of every field of a VyosCluster, lists with []."""

    def walk(node: Mapping[str, Any], at: str) -> Iterator[str]:
        for name, inner in node.get("properties", {}).items():
            path = f"{at}.{name}" if at else name
            yield from (path, f"{path}[]") if inner.get("type") == "array" else (path,)
            yield from walk(inner.get("items", inner), f"{path}[]" if "items" in inner else path)

    return frozenset(walk(crd.schema(), ""))


def is_field(path: str) -> bool:
    """Whether a VyosCluster has it; a list may be named with or without []."""
    known = {p.replace("[]", "") for p in fields()}
    return path.replace("[]", "") in known


@functools.cache
def _values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(ROOT / "charts/vyos-cluster/values.yaml").read_text())
    return found


def is_value(path: str) -> bool:
    """Whether the chart has the value."""
    found: Any = _values()
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return found == {}  # free keys, such as a nodeSelector's
        found = found[part]
    return True


PROGRAMS: dict[str, Callable[[Words, frozenset[str]], Iterator[str]]] = {
    "make": _make,
    "vyos-cluster": _vyos_cluster,
    "vyos-cluster-heartbeat": _heartbeat,
    "kubectl": _kubectl,
    "helm": _helm,
    "docker": _builder,
    "kind": _builder,
    "python3": _python,
    "tests/ground/ground": lambda words, _files: iter(()),
}
