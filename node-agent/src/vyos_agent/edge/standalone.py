"""A router without Kubernetes: its orders come from a file, the manifest that one would give to kubectl.

Imported only when there is such a file, because the API's models (pydantic) cost more memory than the whole daemon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vyos_agent.edge import orders
from vyos_agent.edge.orders import Item
from vyos_api import keys, manifest, notbuilt, render
from vyos_api.nodeconfig import ConfigError, Key, KeySet

KEY_ID = 1
"""The operator's first key has it too, so that a router without Kubernetes can join those with it."""


class FileError(ValueError):
    """The file cannot be used; the text has one line for each field at fault."""


def load(path: Path, node: str, peers: Mapping[str, Sequence[str]] | None = None) -> Item:
    """The cluster in the file, as this member's order. Raises FileError.

    `peers`: the other members' node addresses, which unicast needs and no manifest tells.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    try:
        found = manifest.read(text)
        later = notbuilt.not_built(found.cluster.spec)
        if later:
            raise FileError(_lines(path, later))
        config = render.render(found.cluster, node, peers)
        unknown = [m for m in config.members if m != node and m not in config.nodes] if config.unicast else []
        if unknown:
            text = f"where {', '.join(unknown)} can be reached is not known; give --peer {unknown[0]}=ADDRESS"
            raise FileError(_lines(path, [f"spec.unicast: {text}"]))
        uid = config.uid
        key_set = KeySet(uid, (Key(KEY_ID, "send", keys.heartbeat_key(found.secret, uid)),))
        return orders.item(config, key_set, {}, node)
    except FileError:
        raise
    except (manifest.ManifestError, ConfigError, ValueError) as error:
        raise FileError(_lines(path, str(error).splitlines())) from None


def _lines(path: Path, problems: list[str]) -> str:
    return "\n".join(f"{path}: {problem}" for problem in problems)
