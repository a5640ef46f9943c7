"""One rule of the API, said twice in one place: in CEL for the API server, in Python for everybody else.

The API server never runs our Python and a heartbeat daemon without Kubernetes has no CEL, yet both must refuse the
same manifests with the same words. Keeping the two forms side by side is what makes that checkable: tests/api puts
every bad manifest before both. Standard library only; `fields` ties rules to pydantic.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Rule:
    """What must hold, in CEL (`self`) and in Python, and what is said when it does not.

    `cel` "" is a rule that CEL cannot say (or not within its cost limit); `holds` None is a rule about a change
    (`oldSelf`), which only the API server sees. Messages name the field: CEL's own error text shows no value.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None
    message_cel: str = ""
    """messageExpression: the message with the values in it; `say` is its Python form."""
    say: Callable[[Any], str] | None = None
    at: str = ""
    """The child field to blame, such as ".deadInterval"."""
    at_in_python: str = ""
    """The field to blame where CEL's fieldPath cannot name it (metadata)."""
    forbidden: bool = False
    """FieldValueForbidden in place of FieldValueInvalid; FieldValueDuplicate would drop the message."""

    @property
    def loc(self) -> tuple[str, ...]:
        """The path of the field to blame, from the value on."""
        return tuple((self.at_in_python or self.at).split(".")[1:])

    def text(self, value: Any) -> str:
        """The message for a value that breaks the rule."""
        return self.say(value) if self.say else self.message

    def kubernetes(self) -> dict[str, str]:
        """The entry for x-kubernetes-validations."""
        entry = {
            "rule": self.cel,
            "message": self.message,
            "messageExpression": self.message_cel,
            "fieldPath": self.at,
            "reason": "FieldValueForbidden" if self.forbidden else "FieldValueInvalid",
        }
        return {k: v for k, v in entry.items() if v}


def is_ip(text: str) -> bool:
    """CEL's isIP: an address without zone, leading zeros or an IPv4-mapped form."""
    return parse_ip(text) is not None


def parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that CEL's ip() would give, else None."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 6 and (address.scope_id is not None or address.ipv4_mapped is not None):
        return None
    return address


def unique(field: str) -> Rule:
    """No item twice, for a short ordered list. (A `set` list would lose the order under server-side apply.)"""
    return Rule(
        cel="self.all(x, self.exists_one(y, x == y))",
        message=f"{field} must not repeat",
        message_cel=f"'{field} must not repeat: ' + self.filter(x, !self.exists_one(y, x == y))[0] + ' is there twice'",
        say=lambda items: f"{field} must not repeat: {next(x for x in items if items.count(x) > 1)} is there twice",
        holds=lambda items: len(set(items)) == len(items),
    )
