"""A VyosCluster and its Secret as VyOS's configuration, in braces or as commands.

What VyOS has no option for is refused.

Two groups, or two secondaries, are written: the grammar has them, though VyOS's own daemon commits only one of each.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from vyos_api.v1alpha1 import Group, InvalidObject, Spec, VyosCluster, parse
from vyos_cluster import beside
from vyos_cluster.beside import METADATA, NO_OPTION
from vyos_cluster.refusal import Note, Place, Refused

Lines = list[tuple[str, ...]]
KEEPALIVE_LEAST_MS = 100
DEAD_LEAST_MS = 300
"""The least that VyOS takes for an interval (vyatta-cluster, Config.pm)."""
_BEYOND = {  # fields that VyOS has no option for; they may stand at their defaults only
    Spec: ("init_dead_interval", "port", "ttl", "announcements", "on_cordon", "unicast", "fence"),
    Group: ("failback_delay", "maintenance"),
}
_BARE = re.compile(r"[-A-Za-z0-9_.:/@#%+=,$!&*~^?|;<>()\[\]]+")


def export(text: str, commands: bool) -> tuple[str, list[Note]]:
    """VyOS's configuration for the one VyosCluster of this YAML, and what is lost by it. Raises Refused."""
    objects = beside.objects(text)
    clusters = [o for o in objects if o.raw.get("kind") == "VyosCluster"]
    if len(clusters) != 1:
        raise Refused((Place(), f"exactly one VyosCluster must be given, not {len(clusters)}"))
    given = clusters[0]
    try:
        cluster = parse(given.raw)
    except InvalidObject as error:
        raise Refused(*((given.place(p.partition(": ")[0]), p) for p in error.problems)) from None
    faults = [(given.place(p.partition(": ")[0]), p) for p in _not_carried(given.raw, cluster)]
    secret = beside.Secret.find(cluster, given, objects)
    faults += beside.faults(objects, given, secret)
    if faults or secret is None:
        raise Refused(*faults)
    lines = _options(given.raw["spec"], cluster.spec, secret.value)
    head = f"VyosCluster {cluster.metadata.name}, secret {secret.namespace}/{secret.name} {secret.key}"
    notes = beside.notes(text, secret)
    if commands:
        return f"# {head}\n" + "".join(
            f"set cluster {' '.join(shlex.quote(w) for w in line)}\n" for line in lines
        ), notes
    return f"/* {head} */\n" + _braces(lines), notes


def _options(raw: dict[str, Any], spec: Spec, secret: str) -> Lines:
    lines: Lines = [("interface", i) for i in spec.interfaces]
    for name, field, value in (
        ("keepalive-interval", "keepaliveInterval", spec.keepalive_interval.ms),
        ("dead-interval", "deadInterval", spec.dead_interval.ms),
        ("monitor-dead-interval", "monitorDeadInterval", spec.monitor_dead_interval.ms),
        ("mcast-group", "mcastGroup", spec.mcast_group),
    ):
        if field in raw:
            lines.append((name, str(value)))
    lines.append(("pre-shared-secret", secret))
    for raw_group, group in zip(raw["groups"], spec.groups, strict=True):
        at = ("group", group.name)
        if "autoFailback" in raw_group:
            lines.append((*at, "auto-failback", "true" if group.auto_failback else "false"))
        lines.append((*at, "primary", group.primary))
        for option, values in (
            ("secondary", group.secondaries),
            ("monitor", group.monitors),
            ("service", group.services),
        ):
            lines += [(*at, option, v) for v in values]
    return lines


def _braces(lines: Lines) -> str:
    text, group = "cluster {\n", ""
    for line in lines:
        if line[0] == "group" and line[1] != group:
            text += ("    }\n" if group else "") + f"    group {_quote(line[1])} {{\n"
            group = line[1]
        words = line[2:] if line[0] == "group" else line
        text += f"{'        ' if group else '    '}{words[0]} {_quote(words[1])}\n"
    return text + ("    }\n" if group else "") + "}\n"


def _quote(word: str) -> str:
    if _BARE.fullmatch(word) and not word.startswith(("/*", "//", "#")):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _not_carried(raw: Mapping[str, Any], cluster: VyosCluster) -> list[str]:
    found = [f"metadata.{k}: {NO_OPTION}" for k in raw["metadata"] if k not in METADATA]
    parts: list[tuple[str, Spec | Group]] = [("spec", cluster.spec)]
    parts += [(f"spec.groups[{i}]", g) for i, g in enumerate(cluster.spec.groups)]
    for at, part in parts:
        for name in _BEYOND[type(part)]:
            field = type(part).model_fields[name]
            if getattr(part, name) != field.default:
                found.append(f"{at}.{field.alias or name}: {NO_OPTION}")
    spec = cluster.spec
    if spec.keepalive_interval.ms < KEEPALIVE_LEAST_MS:
        found.append(f"spec.keepaliveInterval: VyOS takes no less than {KEEPALIVE_LEAST_MS} ms")
    if spec.dead_interval.ms < DEAD_LEAST_MS:
        found.append(f"spec.deadInterval: VyOS takes no less than {DEAD_LEAST_MS} ms")
    if ":" in spec.mcast_group:
        found.append("spec.mcastGroup: VyOS takes an IPv4 group only, of 239.0.0.0/8")
    return found
