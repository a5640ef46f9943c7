"""VyOS's `cluster` options as a VyosCluster and its Secret. The way back is `export`."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from vyos_api.v1alpha1 import InvalidObject, parse
from vyos_cluster.refusal import Place, Refused
from vyos_cluster.words import Path, Source, Word

INTERVALS = {
    "keepalive-interval": "keepaliveInterval",
    "dead-interval": "deadInterval",
    "monitor-dead-interval": "monitorDeadInterval",
}
GROUP_LISTS = {"secondary": "secondaries", "monitor": "monitors", "service": "services"}
SECRET = "pre-shared-secret"  # noqa: S105 - the option's name
TOP = (*INTERVALS, "mcast-group", "interface", SECRET, "group")
GROUP = ("auto-failback", "primary", *GROUP_LISTS)
ORIGIN = re.compile(r"VyosCluster (\S+), secret (\S+)/(\S+) (\S+)")
"""The comment by which `export` hands on the names that VyOS has no option for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Names:
    """What VyOS does not name and Kubernetes must."""

    cluster: str = "edge"
    namespace: str = "vyos-cluster"
    secret: str | None = None
    key: str = "secret"

    @property
    def secret_name(self) -> str:
        """The Secret's name; after the cluster's if none is given."""
        return self.secret or f"{self.cluster}-psk"


def names_in(source: Source) -> Names | None:
    """The names that an exported configuration carries in its comment."""
    found = [m for c in source.comments if (m := ORIGIN.fullmatch(c.text))]
    return Names(found[0][1], found[0][2], found[0][3], found[0][4]) if found else None


def comments_in(source: Source) -> list[Place]:
    """The comments of the cluster that are not carried: all but the one with names."""
    return [c.at for c in source.comments if c.ours and not ORIGIN.fullmatch(c.text)]


def manifests(source: Source, names: Names) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Secret and the VyosCluster. Raises Refused with each fault's place."""
    if not source.paths:
        raise Refused((Place(), "there is no `cluster` in this configuration"))
    reader = _Reader()
    for path in source.paths:
        reader.take(path[1:], path[0])
    where, start = reader.where, source.paths[0][0].at
    if reader.secret is None:
        reader.fault(source.paths[0][0], f"{SECRET} is required")
    spec = reader.spec | {"preSharedSecret": {"secretKeyRef": {"name": names.secret_name, "key": names.key}}}
    cluster = {
        "apiVersion": "cluster.vyos.io/v1alpha1",
        "kind": "VyosCluster",
        "metadata": {"name": names.cluster},
        "spec": spec,
    }
    try:
        parse(cluster)
    except InvalidObject as error:
        reader.faults += [(_place(line, where, start), line) for line in error.problems]
    if reader.faults or reader.secret is None:
        raise Refused(*reader.faults)
    metadata = {"name": names.secret_name, "namespace": names.namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {names.key: reader.secret}}
    return secret, cluster


def _place(problem: str, where: dict[str, Place], start: Place) -> Place:
    field = problem.partition(": ")[0]
    while field and field not in where:
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return where.get(field, start)


class _Reader:
    def __init__(self) -> None:
        self.spec: dict[str, Any] = {"interfaces": [], "groups": []}
        self.secret: str | None = None
        self.where: dict[str, Place] = {}
        self.faults: list[tuple[Place, str]] = []

    def fault(self, word: Word, text: str) -> None:
        self.faults.append((word.at, text))

    def take(self, words: Path, above: Word) -> None:
        if not words:
            return
        option = words[0]
        if option.text not in TOP:
            self.fault(option, f"cluster has no option {option.text!r}; it has {', '.join(TOP)}")
        elif len(words) < 2:
            self.fault(option, f"{option.text} needs a value")
        elif option.text == "group":
            self._group(words[1], words[2:])
        elif self._ends(words):
            self._option(option.text, words[1])

    def _option(self, option: str, value: Word) -> None:
        if option == SECRET:
            if self.secret not in (None, value.text):
                self.fault(value, f"{SECRET} is given twice, with two values")
            elif not value.text:
                self.fault(value, f"{SECRET} must not be empty")
            elif not value.text.isprintable():
                self.fault(value, f"{SECRET} must be printable text")
            self.secret = value.text
        elif option == "interface":
            self._append(self.spec, "interfaces", value, "spec.interfaces")
        elif option == "mcast-group":
            self._set(self.spec, "mcastGroup", value.text, value, "spec.mcastGroup")
        elif re.fullmatch("[0-9]{1,9}", value.text):
            self._set(self.spec, INTERVALS[option], int(value.text), value, f"spec.{INTERVALS[option]}")
        else:
            self.fault(value, f"{option} is a whole number of milliseconds, not {value.text!r}")

    def _group(self, name: Word, words: Path) -> None:
        groups = self.spec["groups"]
        i = next((i for i, g in enumerate(groups) if g["name"] == name.text), len(groups))
        at = f"spec.groups[{i}]"
        if i == len(groups):
            groups.append({"name": name.text})
            self.where |= {at: name.at, f"{at}.name": name.at}
        if not words:
            return
        option = words[0].text
        if option not in GROUP:
            self.fault(words[0], f"group has no option {option!r}; it has {', '.join(GROUP)}")
        elif len(words) < 2:
            self.fault(words[0], f"{option} needs a value")
        elif self._ends(words):
            self._group_option(groups[i], at, option, words[1])

    def _group_option(self, group: dict[str, Any], at: str, option: str, value: Word) -> None:
        if option == "primary":
            self._set(group, "primary", value.text, value, f"{at}.primary")
        elif option == "auto-failback":
            if value.text not in ("true", "false"):
                self.fault(value, f"auto-failback is true or false, not {value.text!r}")
            else:
                self._set(group, "autoFailback", value.text == "true", value, f"{at}.autoFailback")
        elif option == "service" and "::" in value.text and "/" not in value.text:
            self.fault(value, f"{value.text!r}: a script with arguments cannot be carried; make it a systemd unit")
        else:
            field = GROUP_LISTS[option]
            self._append(group, field, value, f"{at}.{field}")

    def _ends(self, words: Path) -> bool:
        if len(words) > 2:
            self.fault(words[2], f"{words[0].text} takes one value; quote it if it has blanks")
        return len(words) == 2

    def _set(self, to: dict[str, Any], field: str, value: object, word: Word, at: str) -> None:
        if field in to and to[field] != value:
            self.fault(word, f"{at}: is given twice, with two values")
        to[field] = value
        self.where[at] = word.at

    def _append(self, to: dict[str, Any], field: str, word: Word, at: str) -> None:
        values = to.setdefault(field, [])
        self.where.setdefault(at, word.at)
        self.where[f"{at}[{len(values)}]"] = word.at
        if word.text not in values:  # VyOS holds a set: the same twice is once
            values.append(word.text)
