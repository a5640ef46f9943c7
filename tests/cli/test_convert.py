"""convert: VyOS's configuration to manifests and back."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from vyos_api.v1alpha1 import parse
from vyos_cluster.__main__ import app

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/seed.yaml"
SEED = """cluster {
    dead-interval 20000
    group cluster {
        auto-failback false
        primary node1
        secondary node2
        service ssh
        service 192.168.0.123/24/eth0
    }
    interface eth0
    keepalive-interval 5000
    monitor-dead-interval 20000
    pre-shared-secret S3cr#t
}
"""
GROUP = "set cluster group g primary a\nset cluster group g secondary b\nset cluster group g service ssh\n"
BASE = f"set cluster interface eth0\nset cluster pre-shared-secret x\n{GROUP}"


def run(text: str | bytes, *options: str) -> Result:
    return CliRunner().invoke(app, ["convert", *options, "-"], input=text)


def spec(text: str) -> dict[str, object]:
    done = run(text)
    assert done.exit_code == 0, done.output
    return dict(list(yaml.safe_load_all(done.stdout))[1]["spec"])


def test_the_seed() -> None:
    secret, cluster = yaml.safe_load_all(run(SEED).stdout)
    expected = list(yaml.safe_load_all(EXAMPLE.read_text()))
    assert [secret, cluster] == expected


ACCEPTED = [
    (SEED.replace("S3cr#t", '"S3cr#t"'), "deadInterval", 20000),
    (f"/* a */\n{SEED}", "interfaces", ["eth0"]),
    (f"// vyos-config-version\n{SEED}", "interfaces", ["eth0"]),
    (SEED.replace("interface eth0", "/* up\nlink */\ninterface eth0"), "interfaces", ["eth0"]),
    (f"interfaces {{\n  ethernet eth0 {{\n    address dhcp\n  }}\n}}\n{SEED}", "interfaces", ["eth0"]),
    (SEED.replace("\n", "\r\n"), "keepaliveInterval", 5000),
    ("\ufeff" + SEED, "keepaliveInterval", 5000),
    (BASE, "interfaces", ["eth0"]),
    (f"# mine\nset system host-name r1\n{BASE}", "interfaces", ["eth0"]),
    (f"{BASE}set cluster interface 'eth1'\n", "interfaces", ["eth0", "eth1"]),
    (f"{BASE}set cluster interface eth0\n", "interfaces", ["eth0"]),
    (f'{BASE}set cluster mcast-group "239.1.2.3"\n', "mcastGroup", "239.1.2.3"),
    (f"{BASE}set cluster keepalive-interval 00100\n", "keepaliveInterval", 100),
]


@pytest.mark.parametrize(("text", "field", "value"), ACCEPTED)
def test_accepted(text: str, field: str, value: object) -> None:
    assert spec(text)[field] == value


REFUSED = [
    ("", "1:1", "no `cluster`"),
    ("system {\n}\n", "1:1", "no `cluster`"),
    ("cluster {\n", "1:1", "never closed"),
    ("}\n", "1:1", "closes nothing"),
    ("cluster {\n} x\n", "2:3", "nothing may follow"),
    ("{\n}\n", "1:1", "needs a name"),
    ("cluster { interface eth0 }\n", "1:9", "last of its line"),
    ("/* open", "1:1", "*/ is missing"),
    ('cluster {\n  interface "eth0\n}\n', "2:13", "never closed"),
    ('cluster {\n  interface "eth0"x\n}\n', "2:19", "blank"),
    ("set\n", "1:1", "set what"),
    (f"{BASE}delete cluster\n", "6:1", "only `set`"),
    ("set cluster interface eth0\\\n", "1:23", "next line"),
    (f"{BASE}set cluster colour red\n", "6:13", "no option 'colour'"),
    (f"{BASE}set cluster group g weight 3\n", "6:21", "no option 'weight'"),
    (f"{BASE}set cluster dead-interval\n", "6:13", "needs a value"),
    (f"{BASE}set cluster group g primary\n", "6:21", "needs a value"),
    (f"{BASE}set cluster dead-interval 20s\n", "6:27", "milliseconds"),
    (f"{BASE}set cluster dead-interval 200\n", "6:27", "deadInterval"),
    (f"{BASE}set cluster mcast-group 224.0.0.1\n", "6:25", "mcastGroup"),
    (f"{BASE}set cluster group g auto-failback yes\n", "6:35", "true or false"),
    (f"{BASE}set cluster group g primary c\n", "6:29", "given twice"),
    (f"{BASE}set cluster group g secondary a\n", "4:31", "primary"),
    (f"{BASE}set cluster group g service ip::1\n", "6:29", "systemd unit"),
    (f"{BASE}set cluster group g service 10.0.0.1\n", "6:29", "prefix length"),
    (f"{BASE}set cluster group g secondary R2\n", "6:31", "secondaries"),
    (f"{BASE}set cluster interface a b\n", "6:25", "one value"),
    (f"{BASE}set cluster pre-shared-secret y\n", "6:31", "given twice"),
    ("set cluster interface eth0\n" + GROUP, "1:5", "pre-shared-secret is required"),
    (f"set cluster pre-shared-secret x\n{GROUP}", "1:5", "interfaces"),
    (f"{BASE}set cluster group h\n", "6:19", "is required"),
]


@pytest.mark.parametrize(("text", "place", "words"), REFUSED)
def test_refused(text: str, place: str, words: str) -> None:
    done = run(text)
    assert (done.exit_code, done.stdout) == (1, "")
    assert any(line.startswith(f"<stdin>:{place}") and words in line for line in done.stderr.splitlines()), done.stderr


@pytest.mark.parametrize("field", ["port: 695", "ttl: 2", "unicast: true", "fence: Nftables", "initDeadInterval: 40s"])
def test_what_vyos_cannot_carry_is_named(field: str) -> None:
    text = run(SEED).stdout.replace("spec:\n", f"spec:\n  {field}\n")
    done = run(text, "--to", "vyos")
    assert done.exit_code == 1
    assert re.fullmatch(rf"<stdin>:\d+:\d+: spec\.{field.partition(':')[0]}: VyOS has no option .*\n", done.stderr)


def test_a_secret_that_is_not_there_is_refused() -> None:
    done = run(run(SEED).stdout.partition("---\n")[2], "--to", "vyos")
    assert done.exit_code == 1
    assert "Secret edge-psk must be in the same file" in done.stderr


def test_wrong_usage_is_2() -> None:
    assert CliRunner().invoke(app, ["convert"]).exit_code == 2
    assert run(SEED, "--to", "cisco").exit_code == 2


def test_a_file_that_is_not_there() -> None:
    done = CliRunner().invoke(app, ["convert", "/nowhere/config.boot"])
    assert (done.exit_code, done.stderr) == (1, "/nowhere/config.boot:1:1: cannot be read: No such file or directory\n")


KEPT = """apiVersion: v1
kind: Secret
metadata: {name: edge-psk, namespace: vyos-cluster}
stringData: {secret: x}
---
apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {name: edge}
spec:
  interfaces: [eth0]
  preSharedSecret: {secretKeyRef: {name: edge-psk, key: secret}}
  groups: [{name: g, primary: a, secondaries: [b], services: [ssh]}]
"""
NO_OPTION = "VyOS has no option for it; remove it"
NO_PLACE = "VyOS has no place for this document; remove it"
LOST = [
    (KEPT.replace("x}", "x, old: y}"), f"4:25: Secret edge-psk: stringData.old: {NO_OPTION}"),
    (KEPT.replace("---", "data: {old: eA==}\n---"), f"5:8: Secret edge-psk: data.old: {NO_OPTION}"),
    (KEPT.replace("x}", "x, 5: y}"), f"4:25: Secret edge-psk: stringData.5: {NO_OPTION}"),
    (KEPT.replace("ter}", "ter, labels: {a: b}}"), f"3:53: Secret edge-psk: metadata.labels: {NO_OPTION}"),
    (KEPT.replace("ter}", "ter, annotations: {a: b}}"), f"3:53: Secret edge-psk: metadata.annotations: {NO_OPTION}"),
    (KEPT.replace("ter}", 'ter, "\\e[31m": 1}'), f"3:53: Secret edge-psk: metadata.\\x1b[31m: {NO_OPTION}"),
    (KEPT.replace("kind: Secret", "kind: Secret\ntype: a/b"), f"3:1: Secret edge-psk: type: {NO_OPTION}"),
    (KEPT.replace("kind: Secret", "kind: Secret\nimmutable: true"), f"3:1: Secret edge-psk: immutable: {NO_OPTION}"),
    (KEPT.replace("---", "---\nkind: Pod\nmetadata: {name: p}\n---"), f"6:1: Pod p: {NO_PLACE}"),
    (KEPT.replace("---", "---\n- a\n---"), f"6:1: document 2: {NO_PLACE}"),
    (KEPT + "---\n" + KEPT.partition("---")[0], f"14:1: Secret edge-psk: {NO_PLACE}"),
    (KEPT + "---\n" + KEPT.partition("---")[0].replace("edge-", "o-"), f"14:1: Secret o-psk: {NO_PLACE}"),
    (KEPT.replace("v1\nkind: Secret", "v2\nkind: Secret"), f"1:1: Secret edge-psk: {NO_PLACE}"),
    (KEPT.replace("vyos-cluster}", '"a b"}'), "3:28: Secret edge-psk: metadata.namespace: must be 1 to 63 lower-case"),
    (KEPT.replace("vyos-cluster}", "a/b}"), "3:28: Secret edge-psk: metadata.namespace: must be 1 to 63 lower-case"),
    (KEPT.replace("vyos-cluster}", '"*/ x"}'), "3:28: Secret edge-psk: metadata.namespace: must be 1 to 63 lower-case"),
    (KEPT.replace("vyos-cluster}", "[a]}"), "3:28: Secret edge-psk: metadata.namespace: must be 1 to 63 lower-case"),
    (KEPT.replace("edge}", "edge, namespace: a}"), f"8:24: metadata.namespace: {NO_OPTION}"),
    (KEPT.replace("x}", "5}"), "4:14: Secret edge-psk: stringData.secret: must be a string"),
    (KEPT.replace("x}", '"a\\nb"}'), "11:3: the Secret's secret must be printable text of one line"),
    (KEPT.replace("x}", "x}\ndata: [a]"), f"5:1: Secret edge-psk: data: {NO_OPTION}"),
]


@pytest.mark.parametrize(("text", "said"), LOST)
@pytest.mark.parametrize("to", ["vyos", "commands"])
def test_what_would_be_lost_on_the_way_back_is_named_and_refused(text: str, said: str, to: str) -> None:
    done = run(text, "--to", to)
    assert (done.exit_code, done.stdout) == (1, "")
    assert any(line.startswith(f"<stdin>:{said}") for line in done.stderr.splitlines()), done.stderr


def test_everything_that_would_be_lost_is_named_at_once() -> None:
    text = (
        KEPT.replace("x}", "x, a: y, b: z}")
        .replace("---", "---\nkind: Pod\n---")
        .replace("spec:\n", "spec:\n  ttl: 2\n")
    )
    assert [line.split(": ")[0] for line in run(text, "--to", "vyos").stderr.splitlines()] == [
        "<stdin>:4:25",
        "<stdin>:4:31",
        "<stdin>:6:1",
        "<stdin>:12:3",
    ]


@pytest.mark.parametrize(
    "text",
    [
        KEPT,
        KEPT.replace("kind: Secret", "kind: Secret\ntype: Opaque\nimmutable: false\ndata: null"),
        KEPT.replace("ter}", "ter, uid: u, resourceVersion: '5', labels: null}").replace(
            "labels: null", "generation: 1"
        ),
        KEPT.replace("stringData: {secret: x}", "data: {secret: eA==}"),
        KEPT.replace("[eth0]", "&i [eth0]").replace("---", "---\n---"),
    ],
)
def test_what_loses_nothing_is_written_without_a_word(text: str) -> None:
    done = run(text, "--to", "commands")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("# VyosCluster edge, secret vyos-cluster/edge-psk secret\nset cluster ")


def test_a_namespace_that_cannot_be_is_refused() -> None:
    done = run(SEED, "--namespace", "Not_One")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "'Not_One' is no namespace" in " ".join(done.stderr.replace("│", " ").split())


NOTES = [
    (f"# a\n{KEPT}", "vyos", "1:1: note: this comment is not carried"),
    (KEPT.replace("[eth0]", "[eth0] # a\n  # b"), "vyos", "10:22: note: 2 comments, from this one on, are not carried"),
    (KEPT.replace("x}", '"x#y # z"}'), "vyos", None),
    (
        KEPT.replace(", namespace: vyos-cluster", ""),
        "vyos",
        "3:1: note: Secret edge-psk: metadata.namespace: is not given; ",
    ),
    (SEED, "kubernetes", None),
    (f"/* a */\n{SEED}", "kubernetes", "1:1: note: this comment is not carried"),
    (SEED.replace("interface", "/* a\n b */ interface"), "kubernetes", "10:5: note: this comment is not carried"),
    (
        SEED.replace("interface eth0", "interface eth0 /* a */"),
        "kubernetes",
        "10:20: note: this comment is not carried",
    ),
    (SEED.replace("S3cr#t\n}", "x\n// a\n    /* b */\n}"), "kubernetes", "14:1: note: 2 comments, from this"),
    (f"system {{\n/* a */\n}}\n{SEED}// vyos-config-version", "kubernetes", None),
    (f"{SEED}/* a */\nsystem {{\n}}\n", "kubernetes", None),
    (f"# a\nset system x\n# b\n{BASE}# c\n", "kubernetes", "3:1: note: this comment is not carried"),
    (f"/* VyosCluster a, secret b/c d */\n{BASE}", "kubernetes", None),
    (f"# VyosCluster a, secret b/c d\n{BASE}", "kubernetes", None),
]


@pytest.mark.parametrize(("text", "to", "said"), NOTES)
def test_comments_are_not_carried_and_that_is_told(text: str, to: str, said: str | None) -> None:
    done = run(text, "--to", to)
    assert done.exit_code == 0
    assert len(done.stderr.splitlines()) == (said is not None), done.stderr
    assert done.stderr.startswith(f"<stdin>:{said}" if said else "")


NAME = st.text(string.ascii_lowercase, min_size=1, max_size=8)
SECRET = st.text(min_size=1, max_size=20).filter(str.isprintable)


@st.composite
def clusters(draw: st.DrawFn) -> str:
    keepalive = draw(st.integers(150, 5000))
    said: dict[str, object] = {"interfaces": draw(st.lists(NAME, min_size=1, max_size=3, unique=True))}
    if draw(st.booleans()):
        said |= {"keepaliveInterval": keepalive, "deadInterval": keepalive * 2 + draw(st.integers(1, 9000))}
    if draw(st.booleans()):
        said["mcastGroup"] = "239.1.2.3"
    name, secret = draw(NAME), draw(NAME)
    said["preSharedSecret"] = {"secretKeyRef": {"name": secret, "key": "k"}}
    said["groups"] = groups = []
    for i, group in enumerate(draw(st.lists(NAME, min_size=1, max_size=3, unique=True))):
        one, *others = draw(st.lists(NAME, min_size=2, max_size=4, unique=True))
        entry = {"name": group, "primary": one, "secondaries": others}
        if draw(st.booleans()):
            entry |= {"autoFailback": draw(st.booleans()), "monitors": ["10.0.0.1", "fd00::1"]}
        groups.append(entry | {"services": [f"10.0.0.{i + 2}/24", f"unit{i}"]})
    head = {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "metadata": {"name": name}}
    kept = {"metadata": {"name": secret, "namespace": draw(NAME)}, "stringData": {"k": draw(SECRET)}}
    return yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Secret", **kept}, {**head, "spec": said}])


@given(clusters(), st.sampled_from(["vyos", "commands"]))
def test_a_round_trip_loses_nothing(text: str, to: str) -> None:
    there = run(text, "--to", to)
    assert there.exit_code == 0, there.output
    back = run(there.stdout)
    assert back.exit_code == 0, (back.output, there.stdout)
    (secret, cluster), (was_secret, was) = yaml.safe_load_all(back.stdout), yaml.safe_load_all(text)
    assert (secret, parse(cluster)) == (was_secret, parse(was))
    assert run(back.stdout, "--to", to).stdout == there.stdout


PIECES = st.sampled_from(
    [*"{}\"'\\\n #:-[]&*!\t", "/*", "*/", "//", "set ", "cluster ", "group ", "g ", "kind: VyosCluster\n"]
)


@given(
    st.one_of(st.binary(), st.lists(PIECES).map(lambda p: "".join(p).encode())), st.sampled_from(["kubernetes", "vyos"])
)
def test_no_input_ends_in_a_traceback(data: bytes, to: str) -> None:
    done = run(data, "--to", to)
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception


@given(st.integers(0, len(SEED)), st.integers(0, len(SEED)), st.lists(PIECES, max_size=3))
def test_nor_does_a_damaged_configuration(cut: int, until: int, put: list[str]) -> None:
    for text, to in ((SEED, "kubernetes"), (EXAMPLE.read_text(), "vyos")):
        done = run(text[:cut] + "".join(put) + text[until:], "--to", to)
        assert done.exit_code in (0, 1)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
