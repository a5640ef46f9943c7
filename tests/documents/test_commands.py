"""Every command that a document tells names programs, options, files, values and fields that exist.

And every block of commands says how it is known to work (reading.py).
"""

from __future__ import annotations

import re

import pytest
import yaml

from documents import commands, reading
from documents.reading import ROOT, Fence
from test_security_page import named_in
from vyos_api.v1alpha1 import parse

PAGES = reading.pages()
MARKS = {"run", "tried", "not run"}
WAYS = {"here", "api server"}
OTHER_SHELLS = {"bash", "shell", "zsh"}
PROGRAM = re.compile(r"(kubectl|helm|make|vyos-cluster|vyos-cluster-heartbeat|\.venv/bin/vyos-cluster) ([a-z-].*)")
NO_COMMANDS = {"vyos-cluster heartbeat v1"}
"""What begins like a command and is none: the label of the heartbeat key."""
ELLIPSIS = re.compile("[…{}<>]|\\.\\.\\.")


def blocks(page: str) -> list[Fence]:
    return [f for f in reading.fences(page) if f.language == "sh"]


def brought(page: str) -> list[str]:
    """The files that a page brings or makes."""
    made = [name for f in blocks(page) for name in re.findall(r"> ([\w.-]+)$", f.text, re.MULTILINE)]
    return [f.file for f in reading.fences(page) if f.file] + made


def unmarked(fence: Fence) -> str | None:
    """What is wrong with the mark of a block of commands."""
    if fence.mark is None or fence.mark[0] not in MARKS:
        return "says not how it is known to work: <!-- run: … -->, <!-- tried: … --> or <!-- not run: why -->"
    kind, how = fence.mark
    if kind == "run" and how not in WAYS:
        return f"cannot be run {how!r}"
    if kind == "tried":
        path, _, name = how.partition("::")
        if name not in named_in(path):
            return f"there is no test {how}"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_how_it_is_known_to_work(page: str) -> None:
    assert [f"{f.where}: {why}" for f in blocks(page) if (why := unmarked(f))] == []
    assert [f.where for f in reading.fences(page) if f.language in OTHER_SHELLS] == [], "write ```sh"


@pytest.mark.parametrize("page", PAGES)
def test_a_transcript_has_prompts(page: str) -> None:
    told = {where for where, _ in reading.transcripts(page)}
    assert [f.where for f in reading.fences(page) if f.language == "console" and f.where not in told] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_the_blocks_name_exists(page: str) -> None:
    wrong = [f"{f.where}: {why}" for f in blocks(page) for why in commands.problems(f.text, brought(page))]
    told = reading.transcripts(page)
    assert wrong + [f"{where}: {why}" for where, c in told for why in commands.problems(c, brought(page))] == []


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


def test_a_mark_that_says_nothing_is_found() -> None:
    fence = Fence("x.md", 1, "sh", "make check\n", None)
    assert unmarked(fence) is not None
    for mark in (("run", "somewhere"), ("tried", "tests/cli/test_lab.py::test_nobody_wrote"), ("untried", "why")):
        assert unmarked(Fence("x.md", 1, "sh", "make check\n", mark)) is not None
    assert unmarked(Fence("x.md", 1, "sh", "make check\n", ("not run", "it takes hours"))) is None


def test_the_documents_are_there() -> None:
    told = {f.mark[0] for p in PAGES for f in blocks(p) if f.mark}
    assert told == MARKS, "each kind of mark is in use, or this test looks at nothing"
    assert {"README.md", "docs/start.md", "charts/vyos-cluster/README.md"} <= set(PAGES)
    assert (ROOT / "docs/index.md").is_file()
