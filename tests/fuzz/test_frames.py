"""A few seconds of what `python -m fuzz.frames` does for minutes, and whether it would notice anything."""

from __future__ import annotations

import hmac
import itertools
import random

import pytest

from fuzz import frames
from spec.lab import CLUSTER_ID, INCARNATION, KEY, Lab, config, group, member
from vyos_agent.core import wire
from vyos_agent.core.model import Drop, Vip, wire_id

INPUTS = 40_000
NAMED = frozenset(
    {
        Drop.TOO_SHORT,
        Drop.TOO_LONG,
        Drop.BAD_MAGIC,
        Drop.BAD_VERSION,
        Drop.OTHER_CLUSTER,
        Drop.UNKNOWN_KEY,
        Drop.BAD_TAG,
        Drop.MALFORMED,
    }
)
"""What the decoder can say; the other drops are of frames that it accepts."""


def test_no_input_raises_and_no_forgery_is_accepted() -> None:
    """[WIRE-5] No datagram must ever raise an exception or stop a member: what does not decode is a named, counted drop
    and changes nothing else.
    """
    verdicts = frames.run(INPUTS, seed=1)
    assert verdicts.total() == INPUTS
    assert {name.split()[1] for name in verdicts} == {*NAMED, "accepted"}
    assert verdicts["sealed accepted"] > INPUTS / 10
    assert verdicts["sealed Malformed"] > INPUTS / 10
    assert verdicts["forged BadTag"] > INPUTS / 10
    assert verdicts["forged accepted"] == 0


def test_fuzzing_alone_reaches_every_branch_of_the_decoder() -> None:
    branches = frames.Branches()
    branches.watch(INPUTS, seed=2)
    taken, there, missing = branches.taken()
    assert missing == []
    assert taken == there > 20


def test_one_seed_is_one_run() -> None:
    one, other = (list(itertools.islice(frames.Fuzzer(3).pairs(), 500)) for _ in range(2))
    assert one == other


def test_an_accepted_forgery_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: a[:1] == b[:1])
    with pytest.raises(AssertionError, match="an accepted forgery"):
        frames.run(INPUTS, seed=1)


@pytest.mark.parametrize(
    ("name", "wrong"), [("EPOCH_MAX", 2**55), ("DEAD_MS_MAX", 2**31), ("_repeats", lambda _: False)]
)
def test_a_decoder_that_checks_less_would_be_noticed(name: str, wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, name, wrong)
    with pytest.raises(AssertionError):
        frames.run(INPUTS, seed=1)


def test_a_whole_node_takes_whatever_a_believed_member_says() -> None:
    """A member that has the key and lies, or is faulty, must not stop another one."""
    lab, believed = bench(), 0
    rng, fuzzer = random.Random(4), frames.Fuzzer(5)
    for sequence in range(1, 3_000):
        data = spoken(fuzzer.body(), sequence, lab.said[-1][1].sequence)
        lab.hear(data)
        lab.run(rng.choice((0, 1, 1, 20, 600)))
        believed += lab.peer("b") != "Unheard"
        if lab.over is not None:
            lab = bench()
    assert believed > 1_500


def bench() -> Lab:
    """A member of two groups, that owns one of them after a while."""
    return Lab(
        config(groups=[group(f"g{i}", vips=(Vip(f"192.0.2.{i}", 24, "eth0"),), units=("ssh",)) for i in range(2)])
    )


def spoken(body: bytes, sequence: int, acked: int) -> bytes:
    """A fuzzed body as the next frame of member b: an acknowledgement in its first entry, a known group in its last."""
    head = body[:12] + CLUSTER_ID + member("b").to_bytes(4, "big") + bytes(7) + b"\x0b" + sequence.to_bytes(8, "big")
    rest = body[48:]
    if body[10] and len(rest) >= 16 + 20:
        entry = member("a").to_bytes(4, "big") + INCARNATION.to_bytes(8, "big") + acked.to_bytes(4, "big") + b"\0\1\1\0"
        rest = rest[:16] + entry + rest[36:]
    if body[11] and len(rest) >= 16 + 34:
        rest = rest[:-34] + wire_id("g0").to_bytes(4, "big") + rest[-30:]
    whole = head + rest
    return whole + hmac.digest(KEY, whole, "sha256")
