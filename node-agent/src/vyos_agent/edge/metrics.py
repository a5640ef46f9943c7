"""What the `metrics` op answers (docs/control-socket.md): counters and levels as plain numbers, and no HTTP.

Who turns them into Prometheus' format is kube-sync: this process loads no library for it, and opens no port. Every name
in here is one of the configuration's or one of the core's own words, so nothing that a stranger sends makes a series.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

from vyos_agent.core.effects import Decided
from vyos_agent.core.model import OWNING, Drop
from vyos_agent.core.report import Report
from vyos_agent.edge.gaps import Gaps
from vyos_agent.edge.report import STATE_NAMES
from vyos_api.nodeconfig import NodeConfig


class Tally:
    """The changes of state of one cluster's groups, counted since this cluster was started here."""

    def __init__(self) -> None:
        self._moves: collections.Counter[tuple[str, str, str]] = collections.Counter()

    def decided(self, decision: Decided) -> None:
        """One more."""
        self._moves[decision.group, STATE_NAMES[decision.after], decision.reason.value] += 1

    def moves(self, groups: frozenset[str]) -> list[dict[str, Any]]:
        """Of these groups, sorted; the counts of a group that left the configuration are forgotten."""
        for key in [key for key in self._moves if key[0] not in groups]:
            del self._moves[key]
        found = sorted(self._moves.items())
        return [{"group": g, "state": state, "reason": reason, "count": n} for (g, state, reason), n in found]


def cluster(
    config: NodeConfig, report: Report, tally: Tally, errors: Mapping[str, Mapping[str, int]], gaps: Gaps
) -> dict[str, Any]:
    """One item of `clusters`. `errors`: datagrams that could not be sent, by way and error."""
    members = {name for group in config.groups for name in group.members}
    return {
        "cluster": config.cluster,
        "generation": report.generation,
        "groups": [
            {
                "name": group.name,
                "state": STATE_NAMES[group.state],
                "owning": group.state in OWNING,
                "epoch": group.epoch,
                "addresses": len(group.vips),
            }
            for group in report.groups
        ],
        "peers": {peer.name: peer.state for peer in report.peers if peer.name in members},
        "interfaces": {name: up for name, up in report.links.items() if ":" not in name},
        "monitors": dict(report.monitors),
        "transitions": tally.moves(frozenset(group.name for group in config.groups)),
        # from 0 on: the first frame of a kind is to be seen as one more, too
        "drops": {drop.value: report.drops.get(drop.value, 0) for drop in Drop},
        "sendErrors": {way: dict(found) for way, found in errors.items()},
        "gaps": gaps.as_json(),
    }
