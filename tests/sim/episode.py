"""Run a scenario: bursts and peace in turn, until its time is over or an invariant is broken. And its transcript.

A transcript names the seed and lists the bursts; `--replay` runs it again, `shrink` makes it short.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable

from sim import bounds, faults_life, faults_net, faults_spec, faults_work
from sim.driver import Driver
from sim.faults import Fault
from sim.scenario import Burst, Scenario
from sim.words import Broken

CATALOGUE = (faults_life, faults_net, faults_spec, faults_work)
"""Imported, they register their kinds."""


@dataclasses.dataclass(slots=True)
class Outcome:
    """What became of one run."""

    seed: str
    keepalive_ms: int
    simulated_ms: int
    done: collections.Counter[str]
    transitions: collections.Counter[tuple[str, str, str]]
    facts: collections.Counter[str]
    bursts: list[Burst]
    broken: Broken | Exception | None = None
    log: list[str] = dataclasses.field(default_factory=list)


def play(
    scenario: Scenario, bursts: Iterable[Burst] | None = None, *, until_ms: int = 2**62, off: Iterable[str] = ()
) -> Outcome:
    """Without bursts: those of the seed, until that much time is simulated. `off`: invariants not looked at."""
    driver = scenario.driver()
    world = driver.world
    if world.invariants is not None:
        world.invariants.off |= set(off)
    begun_ms = world.now
    done: list[Burst] = []
    broken: Exception | None = None
    try:
        world.run(bounds.of(world).placed_ms + scenario.spec.init_dead_ms)
        for burst in scenario.bursts() if bursts is None else bursts:
            if world.now - begun_ms >= until_ms:
                break
            done.append(burst)
            _suffer(driver, burst)
    except Exception as error:
        broken = error
    return Outcome(
        seed=scenario.seed,
        keepalive_ms=scenario.spec.keepalive_ms,
        simulated_ms=world.now - begun_ms,
        done=driver.done,
        transitions=collections.Counter(
            {(b.name, a.name, r.value): n for (b, a, r), n in world.history.transitions.items()}
        ),
        facts=world.history.facts,
        bursts=done,
        broken=broken,
        log=world.log,
    )


def _suffer(driver: Driver, burst: Burst) -> None:
    world = driver.world
    for fault in burst.faults:
        driver.inflict(fault)
    if burst.peace == "none":
        return
    driver.heal()
    limits = bounds.of(world)
    delayed_ms = limits.dead_ms if world.now < world.peace.replayed_ms + limits.placed_ms else 0
    world.run((limits.settled_ms if burst.peace == "settled" else limits.placed_ms) + 2 * delayed_ms + 100)
    if world.invariants is not None:
        world.invariants.settled()


def write(seed: str, bursts: Iterable[Burst]) -> str:
    """The transcript."""
    lines = [f"scenario {seed}"]
    for burst in bursts:
        lines += [f.text for f in burst.faults]
        lines.append(f"peace {burst.peace}")
    return "\n".join(lines) + "\n"


def read(text: str) -> tuple[Scenario, list[Burst]]:
    """What `write` wrote (lines that begin with # are comments)."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    word, seed = lines[0].split(maxsplit=1)
    assert word == "scenario", lines[0]
    bursts: list[Burst] = []
    for is_peace, chunk in itertools.groupby(lines[1:], lambda line: line.startswith("peace ")):
        if is_peace:
            peaces = [line.split()[1] for line in chunk]
            if bursts and bursts[-1].peace == "":
                bursts[-1] = dataclasses.replace(bursts[-1], peace=peaces.pop(0))
            bursts += [Burst((), p) for p in peaces]
        else:
            bursts.append(Burst(tuple(Fault.parse(line) for line in chunk), ""))
    return Scenario.drawn(seed), [b if b.peace else dataclasses.replace(b, peace="placed") for b in bursts]
