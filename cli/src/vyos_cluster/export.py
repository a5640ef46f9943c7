"""A VyosCluster and its Secret as VyOS's configuration, in braces or as commands.

What VyOS has no option for is refused.

Two groups, or two secondaries, are written: the grammar has them, though VyOS's own daemon commits only one of each.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from typing import Any

import yaml

from vyos_api.v1alpha1 import Group, InvalidObject, Spec, VyosCluster, parse
from vyos_cluster.refusal import Place, Refused

Lines = list[tuple[str, ...]]
KEEPALIVE_LEAST_MS = 100
DEAD_LEAST_MS = 300
"""The least that VyOS takes for an interval (vyatta-cluster, Config.pm)."""
_BEYOND = {  # fields that VyOS has no option for; they may stand at their defaults only
    Spec: ("init_dead_interval", "port", "ttl", "announcements", "on_cordon", "unicast", "fence"),
    Group: ("failback_delay", "maintenance"),
}
_METADATA = ("name", "uid", "generation", "creationTimestamp", "resourceVersion", "managedFields", "selfLink")
"""`name` is carried, the others are given by the API server."""
_BARE = re.compile(r"[-A-Za-z0-9_.:/@#%+=,$!&*~^?|;<>()\[\]]+")


def export(text: str, commands: bool) -> str:
    """VyOS's configuration for the one VyosCluster of this YAML. Raises Refused."""
    documents = _documents(text)
    clusters = [(raw, where) for raw, where in documents if raw.get("kind") == "VyosCluster"]
    if len(clusters) != 1:
        raise Refused((Place(), f"exactly one VyosCluster must be given, not {len(clusters)}"))
    raw, where = clusters[0]
    try:
        cluster = parse(raw)
    except InvalidObject as error:
        raise Refused(*((_place(p, where), p) for p in error.problems)) from None
    faults = [(_place(p, where), p) for p in _not_carried(raw, cluster)]
    if faults:
        raise Refused(*faults)
    secret, origin = _secret(cluster, [r for r, _ in documents if r.get("kind") == "Secret"], where)
    lines = _options(raw["spec"], cluster.spec, secret)
    head = f"/* {origin} */\n"
    if commands:
        return head + "".join(f"set cluster {' '.join(shlex.quote(w) for w in line)}\n" for line in lines)
    return head + _braces(lines)


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


def _not_carried(raw: dict[str, Any], cluster: VyosCluster) -> list[str]:
    no = "VyOS has no option for it; remove it"
    found = [f"metadata.{k}: {no}" for k in raw["metadata"] if k not in _METADATA]
    parts: list[tuple[str, Spec | Group]] = [("spec", cluster.spec)]
    parts += [(f"spec.groups[{i}]", g) for i, g in enumerate(cluster.spec.groups)]
    for at, part in parts:
        for name in _BEYOND[type(part)]:
            field = type(part).model_fields[name]
            if getattr(part, name) != field.default:
                found.append(f"{at}.{field.alias or name}: {no}")
    spec = cluster.spec
    if spec.keepalive_interval.ms < KEEPALIVE_LEAST_MS:
        found.append(f"spec.keepaliveInterval: VyOS takes no less than {KEEPALIVE_LEAST_MS} ms")
    if spec.dead_interval.ms < DEAD_LEAST_MS:
        found.append(f"spec.deadInterval: VyOS takes no less than {DEAD_LEAST_MS} ms")
    if ":" in spec.mcast_group:
        found.append("spec.mcastGroup: VyOS takes an IPv4 group only, of 239.0.0.0/8")
    return found


def _secret(cluster: VyosCluster, secrets: list[dict[str, Any]], where: dict[str, Place]) -> tuple[str, str]:
    """The secret's text, and the names that stand in the comment."""
    at = where.get("spec.preSharedSecret", Place())
    ref = cluster.spec.pre_shared_secret.secret_key_ref
    if ref is None:
        raise Refused((at, "spec.preSharedSecret.value: put it into a Secret and name that with secretKeyRef"))
    for secret in secrets:
        metadata = secret.get("metadata")
        if isinstance(metadata, dict) and metadata.get("name") == ref.name:
            value = _value(secret, ref.key, at)
            origin = f"VyosCluster {cluster.metadata.name}, secret {metadata.get('namespace', 'vyos-cluster')}/"
            return value, f"{origin}{ref.name} {ref.key}"
    raise Refused((at, f"the Secret {ref.name} must be in the same file: VyOS holds the secret itself"))


def _value(secret: dict[str, Any], key: str, at: Place) -> str:
    plain, coded = secret.get("stringData"), secret.get("data")
    value = plain.get(key) if isinstance(plain, dict) else None
    if value is None and isinstance(coded, dict) and isinstance(coded.get(key), str):
        try:
            value = base64.b64decode(coded[key], validate=True).decode()
        except (binascii.Error, ValueError):
            raise Refused((at, f"the Secret's {key} is no text in base64")) from None
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Refused((at, f"the Secret's {key} must be printable text of one line, for VyOS to hold it"))
    return value


def _documents(text: str) -> list[tuple[dict[str, Any], dict[str, Place]]]:
    found = []
    try:
        if alias := next((t for t in yaml.scan(text) if isinstance(t, yaml.AliasToken)), None):
            raise Refused((Place(alias.start_mark.line + 1, alias.start_mark.column + 1), "aliases are not read here"))
        nodes, raws = list(yaml.compose_all(text, yaml.SafeLoader)), list(yaml.safe_load_all(text))
        for node, raw in zip(nodes, raws, strict=True):
            if isinstance(raw, dict):
                where: dict[str, Place] = {}
                _walk(node, "", where)
                found.append((raw, where))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = Place(mark.line + 1, mark.column + 1) if mark else Place()
        raise Refused(
            (at, f"this is no YAML: {getattr(error, 'problem', None) or 'a character is not allowed'}")
        ) from None
    except RecursionError:
        raise Refused((Place(), "this is nested too deeply")) from None
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused((Place(), f"a value cannot be read: {error}")) from None
    return found


def _walk(node: Any, at: str, where: dict[str, Place]) -> None:
    where[at] = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise Refused((Place(key.start_mark.line + 1, key.start_mark.column + 1), f"{name} stands here twice"))
            seen.add(name)
            _walk(value, f"{at}.{name}" if at else name, where)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, f"{at}[{i}]", where)


def _place(problem: str, where: dict[str, Place]) -> Place:
    field = problem.partition(": ")[0]
    while field and field not in where:
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return where.get(field, where.get("", Place()))
