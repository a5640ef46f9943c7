"""Objects to try: a good one with every field set, ways to change it, and the good ones at every bound."""

from __future__ import annotations

import copy
import re
from typing import Any

ABSENT = "$absent"
"""As a value to set: the field is taken away."""

EPOCH = 7
SINCE = "2026-01-02T03:04:05Z"


def spec() -> dict[str, Any]:
    """A spec with every field set."""
    return {
        "interfaces": ["eth0", "eth1"],
        "keepaliveInterval": "5s",
        "deadInterval": "20s",
        "monitorDeadInterval": 20000,
        "initDeadInterval": "1m",
        "mcastGroup": "239.1.2.3",
        "port": 694,
        "ttl": 1,
        "announcements": {"count": 5, "interval": "200ms", "refresh": "60s"},
        "onCordon": "Standby",
        "unicast": True,
        "fence": "Nftables",
        "preSharedSecret": {"secretKeyRef": {"name": "edge-psk", "key": "secret"}},
        "groups": [
            {
                "name": "cluster",
                "primary": "node1",
                "secondaries": ["node2", "node3"],
                "autoFailback": True,
                "failbackDelay": "30s",
                "monitors": ["192.168.0.1", "2001:db8::1"],
                "maintenance": ["node3"],
                "services": ["192.168.0.123/24/eth0", "ssh"],
            },
            {"name": "v6", "primary": "node2", "secondaries": ["node1"], "services": ["2001:db8::123/64"]},
        ],
    }


def status() -> dict[str, Any]:
    """A status with every field set."""
    return {
        "observedGeneration": 1,
        "owners": "cluster=node1",
        "members": "2/2",
        "conditions": [
            {
                "type": "Accepted",
                "status": "True",
                "observedGeneration": 1,
                "lastTransitionTime": SINCE,
                "reason": "Accepted",
                "message": "",
            }
        ],
        "groups": [
            {
                "name": "cluster",
                "owner": "node1",
                "epoch": EPOCH,
                "since": SINCE,
                "reason": "FirstClaim",
                "addresses": ["192.168.0.123/24/eth0"],
                "services": ["ssh.service"],
            }
        ],
        "nodes": [
            {
                "name": "node1",
                "configGeneration": 1,
                "sendKey": 1,
                "acceptKeys": [1, 2],
                "agentVersion": "0.1.0",
                "groups": [{"name": "cluster", "state": "Owner", "owner": "node1"}],
                "peers": "1/2",
                "monitors": "2/2",
                "interfaces": "2/2",
                "deviations": [{"kind": "Peer", "name": "node3", "state": "Dead", "since": SINCE}],
            }
        ],
    }


def cluster(name: str = "edge", **parts: Any) -> dict[str, Any]:
    """A VyosCluster with every field of the spec set; `parts` are further top-level fields."""
    head = {"apiVersion": "cluster.vyos.io/v1alpha1", "kind": "VyosCluster", "metadata": {"name": name}}
    return head | {"spec": spec()} | parts


def changed(thing: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with some fields set, such as {"spec.groups[0].name": "x"}; values as `grown` reads them."""
    result = copy.deepcopy(thing)
    for path, value in changes.items():
        keys = [int(k) if k.isdigit() else k for k in re.findall(r"[^.\[\]]+", path)]
        at: Any = result
        for key in keys[:-1]:
            at = at[key]
        if value == ABSENT:
            del at[keys[-1]]
        elif isinstance(at, list) and keys[-1] == len(at):
            at.append(grown(value))
        else:
            at[keys[-1]] = grown(value)
    return result


def grown(value: Any) -> Any:
    """Long values written short: {repeat: a, times: 3} is "aaa", {numbered: "n%d", times: 2} is [n0, n1]."""
    if isinstance(value, list):
        return [grown(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"repeat", "times"}:
        return value["repeat"] * value["times"]
    if value.keys() == {"numbered", "times"}:
        return [grown(_number(value["numbered"], i)) for i in range(value["times"])]
    return {k: grown(v) for k, v in value.items()}


def _number(value: Any, i: int) -> Any:
    if isinstance(value, str):
        return value.replace("%d", str(i))
    if isinstance(value, list):
        return [_number(v, i) for v in value]
    return {k: _number(v, i) for k, v in value.items()} if isinstance(value, dict) else value
