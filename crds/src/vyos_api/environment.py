"""Reading environment variables: the operator and kube-sync are told by them, and refuse a bad one in the same words.

What a process is told, and what its defaults are, stands in its own `settings`; here is only how a value is read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

NAMESPACE_SYNTAX = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123), which a namespace's name is."""
NODE_SYNTAX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""A DNS subdomain (RFC 1123), which a node's name is."""
LOG_FORMATS = ("text", "json")


class SettingsError(ValueError):
    """An environment variable that cannot be used; the text begins with its name."""


def namespace(environ: Mapping[str, str], name: str, meaning: str) -> str:
    """The name of a namespace; `meaning` says which. Raises SettingsError."""
    value = _needed(environ, name, meaning)
    if not NAMESPACE_SYNTAX.fullmatch(value):
        raise SettingsError(f"{name}: {value!r} is not a namespace's name (lower-case letters, digits and '-')")
    return value


def node(environ: Mapping[str, str], name: str, meaning: str) -> str:
    """The name of a Node; `meaning` says which. Raises SettingsError."""
    value = _needed(environ, name, meaning)
    if not NODE_SYNTAX.fullmatch(value):
        raise SettingsError(f"{name}: {value!r} is not a node's name (lower-case letters, digits, '-' and '.')")
    return value


def path(environ: Mapping[str, str], name: str, default: str) -> str:
    """An absolute path. Raises SettingsError."""
    value = environ.get(name, "") or default
    if not value.startswith("/"):
        raise SettingsError(f"{name}: {value!r} must be an absolute path")
    return value


def address(environ: Mapping[str, str], name: str) -> str:
    """An IP address, or nothing where it is not set. Raises SettingsError."""
    value = environ.get(name, "")
    try:
        return str(ipaddress.ip_address(value)) if value else ""
    except ValueError:
        raise SettingsError(f"{name}: {value!r} is no IP address") from None


def number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number within bounds, both included. Raises SettingsError."""
    text = environ.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise SettingsError(f"{name}: {text!r} is not a whole number from {least} to {most}")
    return int(text)


def choice(environ: Mapping[str, str], name: str, default: str, known: tuple[str, ...]) -> str:
    """One of the known words. Raises SettingsError."""
    value = environ.get(name, "") or default
    if value not in known:
        raise SettingsError(f"{name}: {value!r} is not one of {', '.join(known)}")
    return value


def _needed(environ: Mapping[str, str], name: str, meaning: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"{name}: is not set; it must name {meaning}")
    return value
