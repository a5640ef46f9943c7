"""Thousands of nearly good texts before the API server and before Python: both must refuse the same ones.

One dry run carries a thousand texts, and the answer names those that are refused. The seed is fixed: a text that once
differed belongs into traps.yaml.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from api import objects
from api.client import Client, Refused
from vyos_api import durations, limits, rules, services

pytestmark = pytest.mark.apiserver

SERVICES = [
    *("192.168.0.123/24/eth0", "10.0.0.1/8/eth0/10.255.255.255", "2001:db8::1/64", "fe80::1/64/eth0", "ssh"),
    *("openvpn@site.service", "1:2:3:4:5:6:7:8/128/br-lan", "::ffff:1.2.3.4/96", "64:ff9b::10.0.0.1/96", "10.0.0.9/32"),
    *("224.0.0.18/4", "127.0.0.1/8", "ff02::1/16", "0.0.0.0/0", "::1/128", "255.255.255.255/32", "169.254.1.1/16"),
]
DURATIONS = ["300ms", "20s", "1m30s", "0.5h", "1.5m", "24h", "1h2m3s4ms", "86400s", "000001s", "5000"]
ADDRESSES = ["192.168.0.1", "2001:db8::1", "::", "::1.2.3.4", "fe80::1%eth0", "1:2:3:4:5:6:7:8", "255.255.255.255"]


def nearly(seeds: list[str], count: int, longest: int) -> list[str]:
    """Texts that are the seeds but for a few slips of the finger; each once, and none empty."""
    chance = random.Random(694)
    letters = "".join(seeds) + "/:.%@- \n\\+0123456789abcdefxsmhßٓ٥" + "/:."
    found: dict[str, None] = {}
    while len(found) < count:
        text = list(chance.choice(seeds))
        for _ in range(chance.randint(0, 3)):
            at = chance.randrange(len(text) + 1)
            match chance.randrange(4):
                case 0:
                    text.insert(at, chance.choice(letters))
                case 1:
                    text[at : at + 1] = [chance.choice(letters)]
                case 2:
                    del text[at : at + 1]
                case _:
                    text[at:at] = text[at : at + chance.randint(1, 5)]
        if 0 < len(text) <= longest:
            found["".join(text)] = None
    return list(found)


def refused(client: Client, thing: dict[str, Any], item: str) -> set[tuple[int, ...]]:
    """The indices of the items that the API server refuses; `item` is the expression of their paths."""
    with pytest.raises(Refused) as answer:
        client.create(thing, dry=True)
    matches = (re.match(item + ": ", line) for line in answer.value.lines)
    return {tuple(int(n) for n in m.groups()) for m in matches if m}


def groups(fill: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    def one(i: int) -> dict[str, Any]:
        plain = {"name": f"g{i}", "primary": "node1", "secondaries": ["node2"], "services": [f"10.1.{i}.1/24"]}
        return plain | fill(i)

    return objects.changed(objects.cluster("edge"), {"spec.groups": [one(i) for i in range(limits.GROUPS)]})


def holds(found: tuple[rules.Rule, ...], text: str) -> bool:
    return all(r.holds(text) for r in found if r.holds and r.cel)


@pytest.mark.parametrize("batch", range(8))
def test_services(client: Client, batch: int) -> None:
    size = limits.GROUPS * limits.SERVICES
    texts = nearly(SERVICES, 8 * size, limits.SERVICE_TEXT)[batch * size : (batch + 1) * size]
    rows = [texts[i * limits.SERVICES :][: limits.SERVICES] for i in range(limits.GROUPS)]
    thing = groups(lambda i: {"services": rows[i]})
    found = refused(client, thing, r"spec\.groups\[(\d+)\]\.services\[(\d+)\]")
    by_server = {rows[i][k] for i, k in found}
    by_us = {t for t in texts if not holds(services.RULES, t)}
    assert by_server ^ by_us == set()
    assert size // 4 < len(by_us) < size


def test_addresses(client: Client) -> None:
    texts = nearly(ADDRESSES, limits.GROUPS * limits.MONITORS, limits.ADDRESS_TEXT)
    rows = [texts[i * limits.MONITORS :][: limits.MONITORS] for i in range(limits.GROUPS)]
    thing = groups(lambda i: {"monitors": rows[i]})
    found = refused(client, thing, r"spec\.groups\[(\d+)\]\.monitors\[(\d+)\]")
    assert {rows[i][k] for i, k in found} ^ {t for t in texts if not rules.is_ip(t)} == set()


@pytest.mark.parametrize("batch", range(16))
def test_durations(client: Client, batch: int) -> None:
    texts = nearly(DURATIONS, 16 * limits.GROUPS, limits.DURATION_TEXT)[batch * limits.GROUPS :][: limits.GROUPS]
    thing = groups(lambda i: {"failbackDelay": texts[i]})
    found = refused(client, thing, r"spec\.groups\[(\d+)\]\.failbackDelay")
    assert {texts[i] for (i,) in found} ^ {t for t in texts if not _duration(t)} == set(), (
        "in syntax; the model has more"
    )


def _duration(text: str) -> bool:
    try:
        durations.parse(text)
        return True
    except durations.DurationError:
        return False
