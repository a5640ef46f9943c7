"""Every command that a document tells names programs, options, files, values and fields that exist.

And every block of commands says how it is known to work (reading.py).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from documents import commands, reading
from documents.reading import ROOT, Fence
from vyos_api.v1alpha1 import parse

PAGES = reading.pages()
MARKS = {"run", "not run"}
WAYS = {"here", "api server", "lab", "ground"}
COMMANDS = {"sh", "console"}
PROGRAM = re.compile(r"(kubectl|helm|make|vyos-cluster|vyos-cluster-heartbeat|\.venv/bin/vyos-cluster) ([a-z-].*)")
NO_COMMANDS = {"vyos-cluster heartbeat v1"}
"""What begins like a command and is none: the label of the heartbeat key."""
TYPED = re.compile(rf" *(?:[$#] )?{PROGRAM.pattern}| *\$ \w")
"""A line that a person could type, in a block that is said to have nothing of the kind."""
ELLIPSIS = re.compile("[…{}<>]|\\.\\.\\.")


def blocks(page: str) -> list[Fence]:
    return [f for f in reading.fences(page) if f.language in COMMANDS]


def brought(page: str) -> list[str]:
    """The files that a page brings or makes."""
    made = [name for f in blocks(page) for name in re.findall(r"> ([\w.-]+)$", f.script, re.MULTILINE)]
    return [f.file for f in reading.fences(page) if f.file] + made


def unknown(fence: Fence) -> str | None:
    """Why it is not known how a block works, or that nothing is to be done with it."""
    if fence.language in reading.OTHER:
        line = next((line for line in fence.text.splitlines() if TYPED.match(line)), None)
        return f"has a command, {line!r}: write ```sh or ```console" if line else None
    if fence.language not in COMMANDS:
        return f"is a block of {fence.language}: write ```sh, ```console or one of {reading.OTHER}"
    if fence.mark is None or fence.mark[0] not in MARKS:
        return "says not how it is known to work: <!-- run: … --> or <!-- not run: why -->"
    if fence.mark[0] == "run" and not fence.ways <= WAYS:
        return f"cannot be run {fence.mark[1]!r}: only {', '.join(sorted(WAYS))}"
    if fence.language == "console" and fence.script == "\n":
        return "is a transcript without a command: `$ ` or `# ` before it"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_how_it_is_known_to_work(page: str) -> None:
    assert [f"{f.where}: {why}" for f in reading.fences(page) if (why := unknown(f))] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_block_escapes(page: str) -> None:
    """Every ``` begins or ends a block that was read, and indented blocks are synopses of our own commands."""
    ticks = [line for line in reading.text(page).splitlines() if line.lstrip().startswith("```")]
    assert len(ticks) == 2 * len(reading.fences(page))
    assert "~~~" not in reading.text(page)
    assert [line for line in reading.synopses(page) if not line.startswith("vyos-cluster")] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_the_blocks_name_exists(page: str) -> None:
    wrong = [f"{f.where}: {why}" for f in blocks(page) for why in commands.problems(f.script, brought(page))]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_what_the_text_names_exists(page: str) -> None:
    """Commands in backticks and in indented blocks, where brackets and bars are a synopsis'."""
    told = [c for c in (*reading.inline(page), *reading.synopses(page)) if PROGRAM.fullmatch(c)]
    told = [c for c in told if c not in NO_COMMANDS]
    plain = [re.sub(r"[\[\]]|\|[\w|-]+", "", c.partition("  #")[0]) for c in told if not ELLIPSIS.search(c)]
    assert [f"{page}: {why}" for c in plain for why in commands.problems(c, brought(page))] == []


@pytest.mark.parametrize("page", PAGES)
def test_fields_and_values_that_the_text_names_exist(page: str) -> None:
    wrong = []
    for code in reading.inline(page):
        path = re.fullmatch(r"((?:spec|status)\.[\w.\[\]]+|groups\[\]\.[\w.\[\]]+)(?:: .*|=.*)?", code)
        if path and not any(commands.is_field(at + path[1]) for at in ("", "spec.", "status.", "status.nodes[].")):
            wrong.append(f"{page}: there is no field {path[1]}")
        value = re.fullmatch(r"((?:operator|agents|metrics|crds|policy)(?:\.[A-Za-z]+)+)(?:[:=].*)?", code)
        if value and not value[1].endswith((".md", ".yaml", ".py")) and not commands.is_value(value[1]):
            wrong.append(f"{page}: the chart has no value {value[1]}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_every_manifest_is_one(page: str) -> None:
    for fence in reading.fences(page):
        if fence.language != "yaml":
            continue
        for found in yaml.safe_load_all(fence.text):
            assert isinstance(found, dict), fence.where
            if found.get("kind") == "VyosCluster":
                parse(found)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("make nonsense", "the Makefile has no target nonsense"),
        ("vyos-cluster bake", "vyos-cluster has no command bake"),
        ("vyos-cluster lab raise", "vyos-cluster has no command raise"),
        (".venv/bin/vyos-cluster convert --into vyos x.boot", "convert has no option --into"),
        ("vyos-cluster-heartbeat --nod x", "vyos-cluster-heartbeat has no option --nod"),
        (
            "helm install vyos-cluster charts/vyos-cluster --set agents.imag.tag=1",
            "the chart has no value agents.imag.tag",
        ),
        ("helm install vyos-cluster charts/other", "there is no file charts/other/Chart.yaml"),
        ("helm install edge charts/vyos-cluster", "helm install edge is not how the documents call the release"),
        ("kubectl get vyosrouters", "nothing here knows the resource vyosrouters"),
        ("kubectl get pods --namespace kube-systen", "no namespace of ours is called kube-systen"),
        ("kubectl logs daemonset/vyos-cluster-agents", "the chart makes no daemonset/vyos-cluster-agents"),
        ("kubectl apply -f absent.yaml", "there is no file absent.yaml"),
        ("kubectl explain vyoscluster.spec.group", "there is no field spec.group"),
        ("""kubectl patch vyoscluster edge -p '{"spec": {"keepalive": "1s"}}'""", "there is no field spec.keepalive"),
        (
            """kubectl patch vyoscluster edge --type=json -p '[{"op": "add", "path": "/spec/groups/0/owner"}]'""",
            "there is no field spec.groups[].owner",
        ),
        ("kubectl get vyosclusters -o jsonpath='{.status.node[*].name}'", "no field is called node"),
        ("kubectl exec x -- python3 -m vyos_agent.contrl S report", "there is no such module"),
        ("openssl rand 8 | frobnicate", "nothing here knows the program frobnicate"),
        ("X=$(make nonsense) kubectl get vyosclusters", "the Makefile has no target nonsense"),
    ],
)
def test_the_checks_find(command: str, why: str) -> None:
    assert any(why in found for found in commands.problems(command)), commands.problems(command)


@pytest.mark.parametrize(
    ("language", "text", "mark", "why"),
    [
        ("sh", "make check\n", None, "says not how it is known to work"),
        ("sh", "make check\n", ("untried", "why"), "says not how it is known to work"),
        ("sh", "make check\n", ("run", "somewhere"), "cannot be run 'somewhere'"),
        ("sh", "make check\n", ("run", "here, there"), "cannot be run 'here, there'"),
        ("console", "$ make check\n", None, "says not how it is known to work"),
        ("console", "make check\n", ("run", "here"), "is a transcript without a command"),
        ("", "make check\n", None, "has a command"),
        ("bash", "make check\n", ("run", "here"), "is a block of bash"),
        ("text", "node1   node2\n  $ make check\n", None, "has a command, '  $ make check'"),
        ("text", ".venv/bin/vyos-cluster lab up\n", None, "has a command"),
    ],
)
def test_a_block_that_nothing_runs_is_found(language: str, text: str, mark: tuple[str, str] | None, why: str) -> None:
    assert why in (unknown(Fence("x.md", 1, language, text, mark)) or "")


def test_a_block_with_a_reason_is_let_be() -> None:
    assert unknown(Fence("x.md", 1, "sh", "make check\n", ("not run", "it takes hours"))) is None
    assert unknown(Fence("x.md", 1, "sh", "make check\n", ("run", "api server, ground"))) is None
    assert unknown(Fence("x.md", 1, "text", "edge.yaml\n     | kubectl apply\n", None)) is None


def test_a_block_in_a_list_is_read(tmp_path: Path) -> None:
    page = tmp_path / "x.md"
    page.write_text("1. Do:\n\n   <!-- run: here -->\n   ```sh\n   make a \\\n     b\n   ```\n")
    (found,) = reading.fences(str(page))
    assert (found.language, found.text, found.ways) == ("sh", "make a \\\n  b\n", frozenset({"here"}))


def test_the_documents_are_there() -> None:
    told = {way for p in PAGES for f in blocks(p) for way in f.ways}
    assert told == WAYS, "each way is in use, or this test looks at nothing"
    assert {"README.md", "docs/start.md", "charts/vyos-cluster/README.md"} <= set(PAGES)
    assert (ROOT / "docs/index.md").is_file()
