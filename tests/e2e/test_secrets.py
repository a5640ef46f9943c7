"""The pre-shared secret, and the keys that come of it, are nowhere but where they belong: looked for everywhere.

The secret is changed once, a member is killed and a wrong spec is applied, so that errors and rotations have their say.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path

import pytest

from ground import cgroups, daemons
from product import AGENTS_NAMESPACE, NAMESPACE, OPERATOR, Product, group, manifest
from vyos_api.keys import heartbeat_key

pytestmark = pytest.mark.e2e

ROUTERS = ("node1", "node2", "node3")
SECRETS = ("Zq7-first-of-the-hidden", "Zq7-second-of-the-hidden")
SECRET_NAME = "hidden-psk"
CONTROL = "vyos-cluster-heartbeat"
"""A word that must be found in what is searched, so that an empty search is noticed."""


def spellings(value: bytes) -> list[bytes]:
    """A value as it may stand in a text: itself, in hex, in Base64 wherever in a longer text it begins, as Python."""
    coded = [base64.b64encode(bytes(shift) + value)[4 * bool(shift) : -4] for shift in range(3)]
    return [value, binascii.hexlify(value), binascii.hexlify(value).upper(), *coded, repr(value)[2:-1].encode()]


def test_the_secret_is_in_no_log_object_event_status_or_command_line(product: Product) -> None:
    ground = product.ground
    spec = manifest(
        "hidden",
        group("g", ROUTERS, "192.168.0.123/24/eth0"),
        preSharedSecret={"secretKeyRef": {"name": SECRET_NAME, "key": "k"}},
    )

    def secret(value: str) -> dict[str, object]:
        where = {"name": SECRET_NAME, "namespace": NAMESPACE}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": where, "stringData": {"k": value}}

    def keys() -> list[tuple[int, list[int]]]:
        return [(n.get("sendKey"), n.get("acceptKeys")) for n in product.status("hidden").get("nodes", ())]

    product.apply(secret(SECRETS[0]))
    try:
        with product.cluster(spec):
            ground.wait(lambda: keys() == [(1, [1])] * 3, 20, "every member to tell its key")
            product.apply(secret(SECRETS[1]))
            ground.wait(lambda: keys() == [(2, [2])] * 3, 40, "every member to have the new key alone")
            product.apply(secret(""))
            product.wait_condition("hidden", "Accepted", "False")
            product.apply(secret(SECRETS[1]))
            product.wait_condition("hidden", "Accepted")
            before = restarts(product, "node2")
            ground.fault.kill("node2", "heartbeat")
            ground.wait(lambda: restarts(product, "node2") > before, 60, "the kubelet to start heartbeat again")
            product.wait_rollout()
            uid = ground.get("vyoscluster", "hidden")["metadata"]["uid"]
            derived = [heartbeat_key(s.encode(), uid) for s in SECRETS]
            places = {**objects(product), **logs(product), **command_lines()}
            secrets = ground.get("secrets", f"-n{AGENTS_NAMESPACE}")
            data = [base64.b64decode(v) for item in secrets["items"] for v in item.get("data", {}).values()]
            stored = b"\n".join([json.dumps(secrets).encode(), *data])
    finally:
        ground.kubectl("delete", "secret", SECRET_NAME, f"-n{NAMESPACE}", "--ignore-not-found")

    assert any(CONTROL.encode() in text for name, text in places.items() if name.endswith("cmdline"))
    assert base64.b64encode(derived[1]) in stored, "the key is where it belongs, and this search would find it"
    found = {
        (name, what)
        for what, values in (("secret", [s.encode() for s in SECRETS]), ("key", derived))
        for name, text in places.items()
        if any(spelling in text for value in values for spelling in spellings(value))
    }
    assert found == set()
    assert not any(spelling in stored for s in SECRETS for spelling in spellings(s.encode())), "derived keys only"


def restarts(product: Product, node: str) -> int:
    pod = product.ground.get("pod", product.agent(node), f"-n{AGENTS_NAMESPACE}")
    found = {c["name"]: int(c["restartCount"]) for c in pod["status"].get("containerStatuses", ())}
    return found.get("heartbeat", 0)


def objects(product: Product) -> dict[str, bytes]:
    """Every object of the API that anybody but a Secret's reader may see."""
    kinds = ("configmaps", "events", "events.events.k8s.io", "vyosclusters", "pods", "nodes", "daemonsets")
    shown = ("-A", "-oyaml", "--show-managed-fields")
    return {kind: product.ground.kubectl("get", kind, *shown).encode() for kind in kinds}


def logs(product: Product) -> dict[str, bytes]:
    """All that operator, both containers of all agents, the routers' systems and the control plane wrote."""
    kubectl = product.ground.kubectl
    found = {"operator's log": kubectl("logs", f"-n{NAMESPACE}", OPERATOR, "--tail=-1").encode()}
    for node in ROUTERS:
        pod = (f"-n{AGENTS_NAMESPACE}", product.agent(node))
        found[f"{node}'s logs"] = kubectl("logs", *pod, "--all-containers", "--tail=-1").encode()
    before = kubectl("logs", f"-n{AGENTS_NAMESPACE}", product.agent("node2"), "-c=heartbeat", "--previous")
    assert before
    for node in ROUTERS:
        journal = product.ground.exec(node, "journalctl", "--no-pager", "--boot", timeout_s=60)
        assert journal
        found[f"{node}'s journal"] = journal.encode()
    plane = daemons.log_file("any").parent
    found |= {f"the control plane's {log.name}": log.read_bytes() for log in plane.glob("*.log")}
    assert any("apiserver" in name for name in found)
    return found | {"node2's heartbeat before": before.encode()}


def command_lines() -> dict[str, bytes]:
    """Command line and environment of every process of every router."""
    found = {}
    for node in ROUTERS:
        pids = cgroups.members(node)
        assert pids
        for pid in pids:
            for part in ("cmdline", "environ"):
                try:
                    found[f"{node}: {pid}/{part}"] = Path(f"/proc/{pid}/{part}").read_bytes()
                except OSError:  # it ended meanwhile
                    continue
    return found
