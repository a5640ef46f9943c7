"""lint: manifests checked without a cluster; errors with their places, and advice."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from api import cases, objects
from spec import promise as spec_promise
from vyos_cluster import advice, lint, promise
from vyos_cluster.__main__ import app
from vyos_cluster.advice import Rule
from vyos_cluster.refusal import printable

ROOT = Path(__file__).resolve().parents[2]
SECRET = """apiVersion: v1
kind: Secret
metadata: {name: edge-psk, namespace: vyos-cluster}
stringData: {secret: "S3cr#t"}
---
"""
CLUSTER = """apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {name: edge}
spec:
  interfaces: [eth0, eth1]
  keepaliveInterval: 1s
  deadInterval: 6s
  preSharedSecret:
    secretKeyRef: {name: edge-psk, key: secret}
  groups:
    - name: g
      primary: node1
      secondaries: [node2, node3]
      services:
        - 192.168.0.123/24/eth0
        - fe80::1/64/eth0
"""
CLEAN = SECRET + CLUSTER
SIX = CLEAN.replace("[eth0, eth1]", "[eth0]").replace("        - 192.168.0.123/24/eth0\n", "")
"""No address of IPv4."""
OTHER = "---\n" + CLUSTER.replace("edge}", "lab}").replace("[node2, node3]", "[node4]")


def run(text: str | bytes, *options: str) -> Result:
    return CliRunner().invoke(app, ["lint", *options, "-"], input=text)


def found(text: str, gap_ms: int | None = None) -> list[lint.Finding]:
    return lint.check([("f.yaml", text)], gap_ms)


def test_clean() -> None:
    done = run(CLEAN, "--strict")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "0 errors, 0 advice\n", "")


ERRORS = [
    ("", "1:1: error: there is no VyosCluster in what was given"),
    ("- a\n", "1:1: error: document 1: must be an object with apiVersion and kind"),
    (CLEAN + "---\nkind: Pod\n", "23:1: error: document 3: must be an object with apiVersion and kind"),
    ("apiVersion: v1\nkind: Pod\n", "1:1: error: there is no VyosCluster in what was given"),
    ("a: [\n", "2:1: error: not YAML as kubectl takes it: expected the node content, but found ..."),
    ("a: {{ .Values.a }}\n", "1:5: error: not YAML as kubectl takes it: .*; a Helm template must be rendered first"),
    ("a: 1\nb: \x00\n", "2:4: error: not YAML as kubectl takes it: a character that YAML does not allow"),
    ("a: 1\nb: !!int x\n", "2:4: error: not YAML as kubectl takes it: a value does not fit its tag"),
    (f"{CLEAN}  interfaces: []\n", "22:3: error: not YAML .*: key 'interfaces' stands twice in one object"),
    (CLEAN.replace("v1alpha1", "v2"), "6:1: error: VyosCluster edge: apiVersion: must be cluster.vyos.io/v1alpha1, "),
    (CLEAN.replace("VyosCluster", "Cluster"), "7:1: error: Cluster edge: kind: must be VyosCluster, not 'Cluster'"),
    (CLEAN.replace("name: edge}", "name: a.b}"), "8:12: error: VyosCluster a.b: metadata.name: the name .*no dots"),
    (CLEAN.replace("{name: edge}", "{}"), "8:1: error: document 2: metadata.name: is required; add it: at most 63 "),
    (CLEAN.replace("6s", "2s"), "12:3: error: .*: spec.deadInterval: deadInterval .2s. must be more than twice"),
    (CLEAN.replace("node3]", "node1]"), "18:7: error: .*: spec.groups.0..secondaries: .* contain the primary"),
    (
        CLEAN.replace("      primary: node1\n", ""),
        "16:7: error: .*primary: is required; add it: the node that owns the ",
    ),
    (CLEAN.replace("/24/", "/"), "20:11: error: .*: spec.groups.0..services.0.: PREFIX must be a prefix length"),
    (
        CLEAN.replace("  spec", " spec").replace("6s", "6s\n  x: 1"),
        "13:3: .*spec.x: .*; remove it .spec has interfaces, ",
    ),
    (CLEAN.replace("6s", "6s\n  portt: 1"), "13:3: error: .*: spec.portt: is not a known field; did you mean port"),
    (
        CLEAN.replace("spec:", "x.y/z: 1\nspec:", 1),
        "9:1: error: VyosCluster edge: x.y/z: is not a known field; remove it",
    ),
    (CLEAN.replace("name: edge-psk, n", "n", 1), "3:1: error: document 1: metadata.name: is required; add it"),
    (CLEAN.replace("edge-psk, n", "Edge, n"), "3:12: error: Secret Edge: metadata.name: must be lower-case"),
    (CLEAN.replace("stringData", "data"), "4:8: error: Secret edge-psk: data.secret: is not base64"),
    (CLEAN.replace('"S3cr#t"', "5"), "4:14: error: Secret edge-psk: stringData.secret: must be a string"),
    (CLEAN.replace('{secret: "S3cr#t"}', "[a]"), "4:1: error: Secret edge-psk: stringData: must be an object"),
    (
        CLEAN.replace("key: secret", "key: psk"),
        "14:36: error: VyosCluster edge: .*.key: key psk of .* is not there; add ",
    ),
    (
        CLEAN.replace("S3cr#t", ""),
        "14:36: error: VyosCluster edge: .*.key: key secret of Secret edge-psk is empty; put",
    ),
    (CLEAN.replace("S3cr#t", "x" * 1025), "14:36: error: .*secretKeyRef.key: .* 1025 bytes; .* at most 1024"),
    ('a: "\\e[31m"\n"\\e[31m": 1\n', "1:1: error: document 1: must be an object"),
    (CLEAN.replace("spec:", '"\\e[31m": 1\nspec:', 1), r"9:1: .*: .x1b.31m: is not a known field"),
    ('a: 1\nb: "\\ud800"\n', "2:4: error: not YAML .* a character that YAML does not allow"),
    ('a: 1\nb: "\\U00110000"\n', "2:7: error: not YAML .* a number out of range"),
    ('a: 1\nb: "\\UFFFFFFFF"\n', "2:7: error: not YAML .* a number out of range"),
]


@pytest.mark.parametrize(("text", "said"), ERRORS, ids=lambda value: value[-60:])
def test_errors(text: str, said: str) -> None:
    done = run(text)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(re.match(f"<stdin>:{said}", line) for line in lines), done.stdout
    assert lines[-1].startswith("1 error,"), done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("case", [c for c in cases.REFUSED if c.model and not c.about_status], ids=str)
def test_the_api_and_lint_refuse_the_same(case: cases.Case) -> None:
    """By the same models, so with the same words; lint adds only what to do."""
    lines = [f.line() for f in found(yaml.safe_dump(case.object(objects.cluster()))) if f.level == lint.ERROR]
    assert len(lines) == len(case.model)
    for problem in case.model:
        assert any(printable(problem) in line for line in lines), lines


def test_a_status_is_looked_past_as_the_operator_does() -> None:
    thing = objects.cluster(status={"nodes": 5})
    assert [f for f in found(yaml.safe_dump(thing)) if f.level == lint.ERROR] == []


def monitored(*monitors: str) -> str:
    return CLEAN.replace("      services:", f"      monitors: [{', '.join(monitors)}]\n      services:")


ADVICE = [
    (
        Rule.ONE_INTERFACE,
        CLEAN.replace(", eth1", ""),
        "10:3: .*spec.interfaces: eth0 alone .* name a second interface \\(",
    ),
    (Rule.ONE_INTERFACE, CLEAN.replace(", eth1]", "]\n  unicast: true"), "10:3: .* .unicast helps only where"),
    (
        Rule.NEEDED_UNIT,
        CLEAN.replace("ices:\n", "ices:\n        - kubelet\n"),
        "20:11: .*services.0.: a node needs kubelet",
    ),
    (Rule.SINGLE_MONITOR, monitored("10.0.0.1"), "19:7: .*spec.groups.0..monitors: 10.0.0.1 alone decides"),
    (
        Rule.PROMISE,
        CLEAN.replace("6s", "2699ms").replace("1s", "700ms"),
        "12:3: .* write 2700 .* or set fence: Nftables",
    ),
    (Rule.PROMISE, CLEAN.replace("6s", "2s").replace("1s", "100ms"), "12:3: .*too short for the promise.* write 2100 "),
    (Rule.PROMISE, CLEAN.replace("6s", "3s"), "12:3: .* only while no frame of the owner is lost.* write 3700 "),
    (Rule.FEW_KEEPALIVES, CLEAN.replace("6s", "14s").replace("1s", "5s"), "12:3: .* less than 3 times .* write 15000 "),
    (
        Rule.FEW_KEEPALIVES,
        CLEAN.replace("6s", "25s\n  monitorDeadInterval: 25s").replace("1s", "12s"),
        "12:3: .* send more often",
    ),
    (
        Rule.MCAST_FAMILY,
        SIX,
        "9:1: .*mcastGroup: 239.251.252.253 is IPv4, and all addresses on eth0 are IPv6: .* name an IPv6 group "
        ".such as ff05::4:2., or see to it that eth0 has an IPv4 address on each member",
    ),
    (
        Rule.MCAST_FAMILY,
        SIX.replace("fe80::1/64", "192.168.0.1/24").replace("1s\n", "1s\n  mcastGroup: ff05::4:2\n"),
        "12:3: .*mcastGroup: ff05::4:2 is IPv6, and all addresses on eth0 are IPv4: ",
    ),
    (Rule.MISSING_SECRET, CLUSTER, "9:5: .*secretKeyRef: the Secret edge-psk is not in what was given"),
    (
        Rule.SECRET_NAMESPACE,
        CLEAN.replace(", namespace: vyos-cluster", ""),
        "3:1: .*Secret edge-psk: metadata.namespace: ",
    ),
    (
        Rule.OPEN_SECRET,
        CLUSTER.replace("secretKeyRef: {name: edge-psk, key: secret}", "value: x"),
        "9:5: .*preSharedSecret.value: whoever may read",
    ),
    (
        Rule.ONE_MEMBER,
        CLEAN.replace("      services:", "      maintenance: [node1, node3]\n      services:"),
        "19:7: .*maintenance: leaves only node2 to own group g",
    ),
    (
        Rule.ONE_MEMBER,
        CLEAN.replace("      services:", "      maintenance: [node1, node2, node3]\n      services:"),
        "19:7: .*maintenance: leaves no member to own group g",
    ),
    (Rule.SAME_NAME, CLEAN + "---\n" + CLUSTER, "25:12: .*metadata.name: also stands at <stdin>:6; "),
    (
        Rule.ADDRESS_COLLISION,
        CLEAN + OTHER,
        "37:11: .*VyosCluster lab: .*: 192.168.0.123 on node1 is also asked for by VyosCluster edge .<stdin>:6",
    ),
    (Rule.ADDRESS_COLLISION, CLEAN + OTHER, "38:11: .*services.1.: fe80::1%eth0 on node1 is also asked for"),
    (
        Rule.ADDRESS_COLLISION,
        CLEAN + OTHER.replace("192.168.0.123/24/eth0", "10.0.0.1/24").replace("fe80::1/64", "FE80:0::1/64"),
        "38:11: .*fe80::1%eth0 on node1",
    ),
]


@pytest.mark.parametrize(("rule", "text", "said"), ADVICE)
def test_advice(rule: Rule, text: str, said: str) -> None:
    done = run(text)
    assert done.exit_code == 0, done.stdout
    assert run(text, "--strict").exit_code == 1
    hits = [line for line in done.stdout.splitlines() if re.match(f"<stdin>:{said}", line)]
    assert hits, done.stdout
    assert all(": advice: " in line and line.endswith(f" ({rule})") for line in hits)
    assert f"({rule})" not in run(text, "--allow", rule).stdout


GAPS = [
    ("2999ms", None),
    ("3s", None),
    ("3001", "is less than 2 times the longest gap measured (3001ms); write 6002 "),
    ("6s", "living members would have been taken for dead; write 12000 "),
    ("16s", "living members would have been taken for dead; as it must be less than 30000, send more often"),
]


@pytest.mark.parametrize(("gap", "said"), GAPS)
def test_advice_on_measured_gaps(gap: str, said: str | None) -> None:
    done = run(CLEAN, "--gaps", gap)
    assert done.exit_code == 0
    if said is None:
        assert done.stdout == "0 errors, 0 advice\n"
    else:
        assert said in done.stdout
        assert "(measured-gap)" in done.stdout


NO_ADVICE = [
    (Rule.PROMISE, CLEAN.replace("6s", "2s\n  fence: Nftables").replace("1s", "100ms")),
    (Rule.PROMISE, CLEAN.replace("6s", "3100ms")),
    (Rule.FEW_KEEPALIVES, CLEAN.replace("6s", "3s")),
    (Rule.NEEDED_UNIT, CLEAN.replace("ices:\n", "ices:\n        - ssh\n        - openvpn@tun0\n")),
    (Rule.SINGLE_MONITOR, monitored()),
    (Rule.SINGLE_MONITOR, monitored("10.0.0.1", "10.0.0.2")),
    (Rule.ADDRESS_COLLISION, CLEAN + OTHER.replace("primary: node1", "primary: node5")),
    (Rule.ADDRESS_COLLISION, CLEAN + OTHER.replace("name: lab}", "name: edge}")),
    (Rule.ADDRESS_COLLISION, CLEAN + OTHER.replace("192.168.0.123/", "192.168.0.12/").replace("64/eth0", "64/eth1")),
    (Rule.MISSING_SECRET, CLUSTER + "---\n" + SECRET),
    (Rule.MCAST_FAMILY, CLEAN),
    (Rule.MCAST_FAMILY, SIX.replace("[eth0]", "[eth0, eth1]")),
    (Rule.MCAST_FAMILY, SIX.replace("1s\n", "1s\n  unicast: true\n")),
    (Rule.MCAST_FAMILY, SIX.replace("1s\n", "1s\n  mcastGroup: ff05::4:2\n")),
    (Rule.ONE_MEMBER, CLEAN.replace("      services:", "      maintenance: [node1]\n      services:")),
    (Rule.SECRET_NAMESPACE, CLEAN + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: unrelated}\n"),
]


@pytest.mark.parametrize(("rule", "text"), NO_ADVICE)
def test_no_advice(rule: Rule, text: str) -> None:
    if rule is Rule.PROMISE and "3100ms" in text:
        rule = Rule.FEW_KEEPALIVES  # 3.1 s: the promise is thin, and three keepalives fit
    assert [f for f in found(text) if f.rule is rule or f.level == lint.ERROR] == []


def test_every_rule_has_a_case_and_is_documented() -> None:
    told = (ROOT / "docs/cli.md").read_text()
    assert {rule for rule, *_ in ADVICE} | {Rule.MEASURED_GAP} == set(Rule)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", told.partition("## lint")[2], re.MULTILINE)) == set(Rule)


def test_the_page_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = (ROOT / "docs/cli.md").read_text().partition("$ vyos-cluster lint ")[2].partition("```")[0]
    options, _, output = shown.partition("\n")
    assert CliRunner().invoke(app, ["lint", *options.split()]).stdout == output


def test_the_promise_is_the_protocols() -> None:
    """The table of docs/protocol.md, section 13, and the arithmetic by which the daemon's promise is tested."""
    rows = re.findall(r"([0-9.]+) s \| ([0-9.]+) s \| [0-9.]+ s \| (\d+) \|", (ROOT / "docs/protocol.md").read_text())
    assert len(rows) == 6
    for dead_s, keepalive_s, lost in rows:
        assert promise.lost_frames(round(float(keepalive_s) * 1000), round(float(dead_s) * 1000)) == int(lost)


@given(st.integers(10, 29_999), st.integers(0, 30_000))
def test_the_promise_is_the_daemons(keepalive_ms: int, more_ms: int) -> None:
    dead_ms = 2 * keepalive_ms + 1 + more_ms
    lost = promise.lost_frames(keepalive_ms, dead_ms)
    assert lost == spec_promise.lost_frames(dead_ms, keepalive_ms)
    assert (lost >= 0) == (dead_ms >= promise.least_dead_ms(keepalive_ms))
    assert (lost >= 1) == (dead_ms >= advice._first_ms(keepalive_ms))


def test_one_of_several_secrets_of_a_name_suffices() -> None:
    wrong = SECRET.replace("secret:", "psk:").replace("namespace: vyos-cluster", "namespace: elsewhere")
    assert found(wrong + CLEAN) == []
    assert [f.field for f in found(wrong + CLUSTER)] == [f"{lint.SECRET_AT}.key"]


def test_a_list_as_kubectl_prints_it() -> None:
    """`kubectl get vyosclusters -o yaml`."""
    items = [objects.cluster(status=objects.status()), yaml.safe_load(CLUSTER)]
    items[1]["spec"]["interfaces"] = 5
    text = yaml.safe_dump({"apiVersion": "v1", "items": [*items, 7], "kind": "List"})
    (missing, wrong, stray) = found(text)
    assert missing.rule is Rule.MISSING_SECRET
    assert (wrong.document, wrong.field, wrong.text) == ("VyosCluster edge", "spec.interfaces", "must be a list, not 5")
    assert text.splitlines()[wrong.at.line - 1].strip() == "interfaces: 5"
    assert (stray.document, text.splitlines()[stray.at.line - 1]) == ("document 1 item 3", "- 7")


def test_several_files_are_taken_together_and_told_in_their_order(tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("b.yaml", "a.yaml")]
    names[0].write_text(CLUSTER.replace("6s", "0s"))
    names[1].write_text(SECRET.replace("S3cr#t", ""))
    done = CliRunner().invoke(app, ["lint", *map(str, names), str(tmp_path / "nix")])
    assert done.exit_code == 1
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        str(names[0]),
        str(tmp_path / "nix"),
        "2 errors, 0 advice",
    ]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_for_machines(form: str) -> None:
    done = run(CLUSTER.replace("[node2, node3]", "[]"), "-o", form)
    assert done.exit_code == 1
    (row,) = json.loads(done.stdout) if form == "json" else yaml.safe_load(done.stdout)
    assert row == {
        "file": "<stdin>",
        "line": 13,
        "column": 7,
        "level": "error",
        "rule": None,
        "document": "VyosCluster edge",
        "field": "spec.groups[0].secondaries",
        "message": "must have at least 1 item",
    }
    assert run(CLEAN, "-o", form).stdout.strip() == "[]"


def test_wrong_usage_is_2() -> None:
    for options in ([], ["-", "-o", "xml"], ["-", "--gaps", "long"], ["-", "--allow", "sin"], ["--nix"]):
        done = CliRunner().invoke(app, ["lint", *options], input="")
        assert done.exit_code == 2, options


def test_no_secret_is_told() -> None:
    for text in (
        CLEAN.replace('"S3cr#t"', "[S3cr]"),
        CLEAN.replace('{secret: "S3cr#t"}', "S3cr"),
        CLEAN.replace("stringData", "data"),
        CLEAN.replace('"S3cr#t"', "*S3cr"),
        CLEAN.replace("secretKeyRef: {name: edge-psk, key: secret}", "value: [S3cr]"),
        CLEAN.replace("secretKeyRef: {name: edge-psk, key: secret}", "value: !S3cr S3cr"),
    ):
        done = run(text)
        assert done.exit_code == 1
        assert "S3cr" not in done.stdout


def shipped() -> list[tuple[str, str]]:
    """Every VyosCluster that a reader of the repository may copy."""
    texts = [(p.name, p.read_text()) for p in sorted((ROOT / "examples").glob("*.yaml"))]
    notes = (ROOT / "charts/vyos-cluster/templates/NOTES.txt").read_text()
    texts.append(("NOTES.txt", notes.partition("<<END\n")[2].partition("   END\n")[0]))
    for page in sorted(p for p in ROOT.rglob("*.md") if not {".venv", ".git"} & set(p.parts)):
        blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        texts += [(page.name, block) for block in blocks if "kind: VyosCluster" in block]
    return texts


TOLD = {"from-keepalived.md": [Rule.PROMISE]}
"""Advice that a page gives itself, beside the manifest."""


@pytest.mark.parametrize(("name", "text"), [pytest.param(name, text, id=name) for name, text in shipped()])
def test_what_is_shipped_is_clean(name: str, text: str) -> None:
    """Examples have one interface as VyOS's own has one, and some leave the Secret to `kubectl create secret`."""
    allowed = [Rule.ONE_INTERFACE, Rule.MISSING_SECRET, Rule.SINGLE_MONITOR, *TOLD.get(name, [])]
    done = run(text, "--strict", *(o for rule in allowed for o in ("--allow", rule)))
    assert (done.exit_code, done.stdout) == (0, "0 errors, 0 advice\n")


def test_something_is_shipped() -> None:
    assert {"seed.yaml", "demo.yaml", "NOTES.txt", "README.md"} <= {name for name, _ in shipped()}
