"""Fuzzing of the frame decoder: datagrams that nobody sent, and bodies that nobody would write under a good tag.

    python -m fuzz.frames --inputs 10000000 --seed 1          (with tests/ on the path)

Half of the inputs are forgeries: frames that were changed after sealing, cut, joined, filled with noise, or sealed with
another key. None may be accepted. The other half are fuzzed bodies under a correct tag: whatever they hold, the decoder
answers with a name, or with a value that is sane and that encodes to the same bytes again. No input may raise.

Plain mutation in one process: the decoder has few branches, so what counts is how many inputs it sees. The first of
them are watched, to tell which branches fuzzing alone reaches; watching all would cost several times the time.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import hmac
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import coverage

from spec import frames as made
from vyos_agent.core import wire
from vyos_agent.core.model import EPOCH_MAX, Drop, Keyring

WATCHED = 200_000
"""Inputs run under branch coverage, before the rest runs free."""
DECODER = ("unseal", "_decode", "_unpack_group", "_repeats")
KEY = made.OLD
RING = Keyring(1, {1: KEY, 7: made.NEW})
CLUSTER = made.CLUSTER_ID
TAG, HEADER, PEER, GROUP = wire.TAG_BYTES, 64, 20, 34
EDGES = (b"\x00", b"\x01", b"\x02", b"\x7f", b"\x80", b"\xfe", b"\xff", bytes(4), b"\xff" * 4, bytes(8), b"\xff" * 8)


class Fuzzer:
    """A stream of inputs, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        beats = [made.a_beat(), made.largest(8, 32), made.largest(3, 2), made.exact()]
        beats += [made.a_beat(peers=(), groups=()), *wire.split(made.largest(64, 32))]
        self._seeds = [wire.seal(beat, CLUSTER, RING) for beat in beats]
        self._small = [s for s in self._seeds if len(s) < 400]

    def forgery(self) -> bytes:
        """A datagram whose tag is not that of its bytes."""
        while (data := self._forgery()) in self._seeds:
            pass  # the change changed nothing
        return data

    def _forgery(self) -> bytes:
        rng = self._rng
        data = rng.choice(self._small if rng.random() < 0.9 else self._seeds)
        match rng.randrange(8):
            case 0 | 1 | 2:
                return self._changed(data, len(data))
            case 3:
                return data[: rng.randrange(len(data))]
            case 4:
                return data + rng.randbytes(rng.randrange(1, 64))
            case 5:
                return rng.randbytes(rng.choice((rng.randrange(200), rng.randrange(1600))))
            case 6:
                return data[:12] + CLUSTER + rng.randbytes(rng.randrange(60, 300))
            case _:
                key = rng.choice((made.NEW, bytes(32), b"", KEY[:31], KEY + b"\x01"))
                body = data[:-TAG]
                return body + hmac.digest(key, body, hashlib.sha256)

    def body(self) -> bytes:
        """Anything at all, before it is sealed."""
        rng = self._rng
        data = rng.choice(self._small if rng.random() < 0.95 else self._seeds)[:-TAG]
        match rng.randrange(11):
            case 0 | 1 | 2 | 3 | 4 | 5:
                return self._changed(data, len(data), kept=28)
            case 10:
                return self._repeated(data)
            case 6:
                return self._counted(data)
            case 7:
                return data[: rng.randrange(HEADER, len(data) + 1)]
            case 8:
                return data + rng.randbytes(rng.choice((PEER, GROUP, rng.randrange(1, 60))))
            case _:
                return data[:28] + rng.randbytes(len(data) - 28)

    def _changed(self, data: bytes, end: int, kept: int = 0) -> bytes:
        """A few bytes are others; those before `kept` rarely."""
        rng = self._rng
        new = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
            low = kept if rng.random() < 0.8 else 4
            at = rng.randrange(min(low, end - 1), end)
            if rng.random() < 0.5:
                new[at] ^= 1 << rng.randrange(8)
            else:
                edge = rng.choice(EDGES)
                new[at : at + len(edge)] = edge
        return bytes(new[: len(data)])

    def _counted(self, data: bytes) -> bytes:
        """Entries that are there in other numbers, with the counts that say so: only their values can be wrong."""
        rng = self._rng
        peers, groups = rng.randrange(4), rng.randrange(4)
        entries = rng.randbytes(peers * PEER) + rng.randbytes(groups * GROUP)
        return data[:10] + bytes((peers, groups)) + data[12:HEADER] + entries

    def _repeated(self, data: bytes) -> bytes:
        """One entry over another one of its kind."""
        groups_at = HEADER + data[10] * PEER
        size, first = self._rng.choice(((PEER, HEADER), (GROUP, groups_at)))
        room = (groups_at if size == PEER else len(data)) - first
        if room < 2 * size:
            return data
        source, target = (first + self._rng.randrange(room // size) * size for _ in range(2))
        return data[:target] + data[source : source + size] + data[target + size :]

    def pairs(self) -> Iterator[tuple[bytes, bool]]:
        """Forged and well sealed inputs, in turn: (datagram, whether its tag is good)."""
        while True:
            yield self.forgery(), False
            body = self.body()
            key = RING.keys.get(body[5], KEY)
            yield body + hmac.digest(key, body, hashlib.sha256), True


def check(data: bytes, genuine: bool) -> str:
    """What the decoder says of one input; raises AssertionError where that may not be."""
    try:
        found = wire.unseal(data, CLUSTER, RING)
    except Exception as error:
        error.add_note(f"input: {data.hex()}")
        raise
    if isinstance(found, Drop):
        return found.value
    assert genuine, f"an accepted forgery: {data.hex()}"
    _sane(found, data)
    return "accepted"


def _sane(beat: wire.Beat, data: bytes) -> None:
    """What is accepted means one thing: it holds to the bounds, and its values make the same bytes again."""
    assert 0 not in (beat.sender, beat.sequence), data.hex()
    assert beat.part < beat.parts, data.hex()
    assert 0 < 2 * beat.keepalive_ms < beat.dead_ms <= 60_000, data.hex()
    assert all(g.epoch <= EPOCH_MAX and g.claim_epoch <= EPOCH_MAX for g in beat.groups), data.hex()
    assert len({(p.member, p.incarnation) for p in beat.peers}) == len(beat.peers), data.hex()
    assert len({g.group for g in beat.groups}) == len(beat.groups), data.hex()
    again = bytearray(wire.seal(beat, CLUSTER, Keyring(data[5], RING.keys))[:-TAG])
    for i in range(len(beat.peers)):
        spare = HEADER + i * PEER + PEER - 1
        again[spare] = data[spare]  # not looked at, so not kept
    assert bytes(again) == data[:-TAG], data.hex()


def run(inputs: int, seed: int) -> collections.Counter[str]:
    """Check so many; the verdicts by name, the genuine ones apart."""
    verdicts: collections.Counter[str] = collections.Counter()
    for data, genuine in itertools.islice(Fuzzer(seed).pairs(), inputs):
        verdicts[f"{'sealed' if genuine else 'forged'} {check(data, genuine)}"] += 1
    return verdicts


class Branches:
    """Which branches of the decoder were taken."""

    def __init__(self) -> None:
        self._watch = coverage.Coverage(branch=True, data_file=None, include=[wire.__file__], config_file=False)

    def watch(self, inputs: int, seed: int) -> collections.Counter[str]:
        """`run`, watched."""
        with self._watch.collect():
            return run(inputs, seed)

    def taken(self) -> tuple[int, int, list[str]]:
        """Branches of the decoder that were taken, how many there are, and those that were not (line -> line)."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            self._watch.json_report(outfile=file.name)
            (found,) = json.loads(Path(file.name).read_text())["files"].values()
        reports = [found["functions"][name] for name in DECODER]
        missing = [f"{line} -> {to}" for report in reports for line, to in report["missing_branches"]]
        there = sum(report["summary"]["num_branches"] for report in reports)
        return there - len(missing), there, missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.frames", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, {chosen.inputs} inputs, {Path(wire.__file__).name}", flush=True)
    branches = Branches()
    watched = min(WATCHED, chosen.inputs)
    branches.watch(watched, chosen.seed)
    taken, there, missing = branches.taken()
    missed = f", not: {', '.join(missing)}" if missing else ""
    print(f"branches of the decoder: {taken} of {there} taken within {watched} inputs{missed}", flush=True)
    begun = time.perf_counter()
    verdicts = run(chosen.inputs, chosen.seed)
    seconds = time.perf_counter() - begun
    for verdict, count in sorted(verdicts.items()):
        print(f"{count:>10} {verdict}")
    rate = chosen.inputs / seconds
    print(f"{chosen.inputs} inputs in {seconds:.0f} s, {rate:.0f} a second: no exception, no accepted forgery")
    return 0 if taken == there else 1


if __name__ == "__main__":
    sys.exit(main())
