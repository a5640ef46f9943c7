"""A router without Kubernetes: its orders come from a file, the manifest that one would give to kubectl.

The daemon runs this as a process of its own (`reader`) and never imports it: the API's models cost more memory than
all of the daemon.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vyos_agent.edge import orders
from vyos_agent.edge.orders import Item
from vyos_agent.edge.reader import FileError
from vyos_api import keys, manifest, nodeconfig, render
from vyos_api.nodeconfig import ConfigError, Key, KeySet

KEY_ID = 1
"""The operator's first key has it too, so that a router without Kubernetes can join those with it."""


def load(path: Path, node: str, peers: Mapping[str, Sequence[str]] | None = None) -> Item:
    """The cluster in the file, as this node's order. Raises FileError.

    A node that the file does not name gets an order all the same: one that was a member hands over with it.

    `peers`: the other members' node addresses, which unicast needs and no manifest tells.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    try:
        found = manifest.read(text)
        config = render.render(found.cluster, node, peers, departing=(node,))
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


def main() -> None:
    """A question on stdin, an answer on stdout: an entry of a `configure` request, or an error. Never on argv: keys."""
    question = json.load(sys.stdin)
    try:
        found = load(Path(question["path"]), question["node"], question["peers"])
    except FileError as error:
        json.dump({"error": str(error)}, sys.stdout)
        return
    config, key_set = nodeconfig.node_config_to_dict(found.config), nodeconfig.key_set_to_dict(found.keys)
    json.dump({"config": config, "keys": key_set}, sys.stdout)


if __name__ == "__main__":
    main()
