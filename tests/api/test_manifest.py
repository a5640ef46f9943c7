"""A manifest file without an API server: what it may hold, and what is said of those that may not."""

from __future__ import annotations

import textwrap
import uuid

import pytest
import yaml

from api import objects
from api.conftest import ROOT
from vyos_api import documents, manifest, names, render
from vyos_api.manifest import ManifestError

CLUSTER = textwrap.dedent("""\
    apiVersion: cluster.vyos.io/v1alpha1
    kind: VyosCluster
    metadata: {name: edge}
    spec:
      interfaces: [eth0]
      preSharedSecret:
        secretKeyRef: {name: edge-psk, key: secret}
      groups:
        - {name: g, primary: node1, secondaries: [node2], services: [192.168.0.123/24/eth0]}
""")
SECRET = textwrap.dedent("""\
    ---
    apiVersion: v1
    kind: Secret
    metadata: {name: edge-psk, namespace: anywhere}
    stringData: {secret: "S3cr#t"}
""")


def with_value(value: str) -> str:
    return CLUSTER.replace("secretKeyRef: {name: edge-psk, key: secret}", f"value: {value}")


def refusal(text: str) -> str:
    with pytest.raises(ManifestError) as error:
        manifest.read(text)
    assert "S3cr" not in str(error.value)
    return str(error.value)


def test_read() -> None:
    found = manifest.read(CLUSTER + SECRET)
    assert found.secret == b"S3cr#t"
    assert found.cluster == manifest.load(CLUSTER + SECRET)
    assert "S3cr#t" not in repr(found)
    assert render.render(found.cluster, "node2").cluster == "edge"


def test_the_order_of_documents_means_nothing() -> None:
    assert manifest.read(SECRET + "---\n" + CLUSTER) == manifest.read("---\n---\n" + CLUSTER + SECRET + "---\n")


def test_a_secret_may_be_any_bytes() -> None:
    binary = SECRET.replace('stringData: {secret: "S3cr#t"}', "data: {secret: /wAB}")
    assert manifest.read(CLUSTER + binary).secret == b"\xff\x00\x01"


def test_string_data_wins() -> None:
    assert manifest.read(CLUSTER + SECRET + "data: {secret: /wAB}\n").secret == b"S3cr#t"


def test_a_value_needs_no_secret() -> None:
    assert manifest.read(with_value('"S3cr#t ß"')).secret == "S3cr#t ß".encode()


def test_uid_and_generation() -> None:
    """Two routers with files of one name agree on the uid, and so on the key; clusters of other names differ."""
    found = manifest.load(CLUSTER + SECRET).metadata
    assert found.uid == str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, names.GROUP), "edge"))
    assert found.uid == "3dfc2799-c388-55ef-9f1c-3ccbe9632367"
    assert found.generation == 1
    other = manifest.load(CLUSTER.replace("name: edge}", "name: lab, generation: 5}") + SECRET).metadata
    assert (other.uid != found.uid, other.generation) == (True, 5)
    given = manifest.load(CLUSTER.replace("name: edge}", "name: edge, uid: 5e0c}") + SECRET).metadata
    assert given.uid == "5e0c"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file must hold exactly one VyosCluster, not 0"),
        (CLUSTER + "---\n" + CLUSTER + SECRET, "the file must hold exactly one VyosCluster, not 2"),
        ("- a", "document 1: must be an object with apiVersion and kind"),
        (
            CLUSTER + SECRET + "---\nkind: Pod\n",
            "document 3: None/Pod is not used here; keep the VyosCluster and its Secret",
        ),
        (CLUSTER.replace("v1alpha1", "v2"), "apiVersion: must be cluster.vyos.io/v1alpha1, not 'cluster.vyos.io/v2'"),
        (
            CLUSTER.replace("name: g,", "name: g, autofailback: true,") + SECRET,
            "spec.groups[0].autofailback: is not a known field; did you mean autoFailback?",
        ),
        (
            CLUSTER.replace("[eth0]", "[]").replace("[node2]", "[node1]") + SECRET,
            "spec.interfaces: must have at least 1 item\n"
            "spec.groups[0].secondaries: secondaries must not contain the primary (node1)",
        ),
        (
            CLUSTER,
            "spec.preSharedSecret.secretKeyRef.name: the file holds no Secret 'edge-psk'; add it as a second document",
        ),
        (
            CLUSTER + SECRET.replace("secret:", "psk:"),
            "spec.preSharedSecret.secretKeyRef.key: Secret 'edge-psk' has no key 'secret'",
        ),
        (
            CLUSTER + SECRET.replace("S3cr#t", ""),
            "spec.preSharedSecret.secretKeyRef.key: key 'secret' of Secret 'edge-psk' is empty",
        ),
        (
            CLUSTER + SECRET.replace("stringData", "data"),
            "Secret edge-psk: data.secret: is not base64; plain text goes into stringData",
        ),
        (CLUSTER + SECRET.replace('"S3cr#t"', "5"), "Secret edge-psk: stringData.secret: must be a string (quote it)"),
        (
            CLUSTER + SECRET.replace('{secret: "S3cr#t"}', "[]"),
            "spec.preSharedSecret.secretKeyRef.key: Secret 'edge-psk' has no key 'secret'",
        ),
        (CLUSTER + SECRET.replace('{secret: "S3cr#t"}', "[a]"), "Secret edge-psk: stringData: must be an object"),
        (CLUSTER + SECRET.replace("name: edge-psk, ", ""), "document 2: Secret: metadata.name: is required"),
        (
            with_value("x") + SECRET,
            "Secret edge-psk: is not the one that spec.preSharedSecret.secretKeyRef names; remove it",
        ),
        (
            CLUSTER + "  interfaces: [eth1]\n" + SECRET,
            "line 10: not YAML as kubectl takes it: key 'interfaces' stands twice in one object",
        ),
        (with_value("*S3crt"), "line 7: not YAML as kubectl takes it: found undefined alias ..."),
        (
            with_value("!S3crt x"),
            "line 7: not YAML as kubectl takes it: could not determine a constructor for the tag ...",
        ),
        (with_value('"S3cr'), "line 10: not YAML as kubectl takes it: found unexpected end of stream"),
        (with_value("S3cr\x00"), "line 7: not YAML as kubectl takes it: a character that YAML does not allow"),
        ("a: " * 5000, "line 1: not YAML as kubectl takes it: mapping values are not allowed here"),
        ("[" * 5000, "not YAML as kubectl takes it: it is nested too deeply"),
        (with_value("!!int S3cr"), "line 7: not YAML as kubectl takes it: a value does not fit its tag"),
        (with_value("!!bool S3cr"), "line 7: not YAML as kubectl takes it: a value does not fit its tag"),
        (with_value("!!timestamp S3cr"), "line 7: not YAML as kubectl takes it: a value does not fit its tag"),
        (with_value('!!float ""'), "line 7: not YAML as kubectl takes it: a value does not fit its tag"),
    ],
    ids=lambda value: value[-50:],
)
def test_refused(text: str, said: str) -> None:
    assert refusal(text) == said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("12:30", "12:30"),
        ("2026-01-02", "2026-01-02"),
        ("=", "="),
        ("5000", 5000),
        ("0x10", 16),
        ("1.5", 1.5),
        ("-.5e3", -500.0),
        ("1e3", 1000.0),
        ("1.2.3.4", "1.2.3.4"),
        ("true", True),
        ("on", True),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_are_read_as_kubectl_reads_them(text: str, found: object) -> None:
    value = yaml.load(f"value: {text}", documents.Loader)["value"]
    assert value == found
    assert type(value) is type(found)


def test_anchors_and_merge_keys_work() -> None:
    text = CLUSTER.replace("interfaces: [eth0]", "interfaces: &lan [eth0]") + SECRET
    assert manifest.load(text).spec.interfaces == ("eth0",)
    assert yaml.load("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", documents.Loader)["b"] == {"x": 1, "y": 3}


def test_what_the_api_server_stored_can_be_run_from_a_file() -> None:
    """`kubectl get vyc edge -o yaml` into a file: the status and the server's metadata do no harm."""
    thing = objects.cluster(status=objects.status())
    thing["metadata"] |= {"uid": "5e0c", "generation": 9, "creationTimestamp": objects.SINCE, "managedFields": []}
    found = manifest.load(yaml.safe_dump(thing) + SECRET)
    assert (found.metadata.uid, found.metadata.generation) == ("5e0c", 9)


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.name)
def test_examples_run_with_what_is_built(path: object) -> None:
    found = manifest.read(path.read_text())  # type: ignore[attr-defined]
    assert render.members(found.cluster.spec) == ("node1", "node2")


def test_the_seeds_values() -> None:
    found = manifest.read((ROOT / "examples/seed.yaml").read_text())
    config = render.render(found.cluster, "node1")
    assert (config.dead_ms, config.keepalive_ms, config.monitor_dead_ms) == (20_000, 5_000, 20_000)
    assert config.groups[0].addresses[0].text == "192.168.0.123/24/eth0"
    assert (config.interfaces, config.groups[0].auto_failback) == (("eth0",), False)
    assert found.secret == b"S3cr#t"


def test_the_demo_keeps_the_promise() -> None:
    """design.md section 5: never two holders after a kill while no more than n of its last frames were lost."""
    config = render.render(manifest.load((ROOT / "examples/demo.yaml").read_text()), "node1")
    life_ms = max(1_000, (config.dead_ms - 2 * config.keepalive_ms - 1_100) // 1_000 * 1_000)
    assert life_ms >= config.keepalive_ms + 400, "an address must be renewed with each frame, not between them"
    lost = (config.dead_ms - life_ms - 1_100) // config.keepalive_ms
    assert lost == 4, "examples/demo.yaml tells this number"
