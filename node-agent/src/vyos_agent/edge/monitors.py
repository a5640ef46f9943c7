"""Monitors: addresses that are pinged every keepalive, and the verdict on each. One timer and two sockets for all.

A target is undecided until its first answer, or until it has been asked in vain for its dead interval. It is dead when
the oldest request that nothing has answered since is a dead interval old. What the process slept through is no silence
of theirs: after a late wake everybody's time begins anew.

What the verdicts mean for a group is the core's to say.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from vyos_agent.edge.clock import now
from vyos_agent.edge.ping import IpAddress, Pinger, Reply

logger = logging.getLogger(__name__)

GRAIN_MS = 50
"""Requests due within so long go out together: hundreds of monitors are not hundreds of wakes."""
SPREAD_MS = 1_000
"""The first requests to many go out over so long (or one interval), and so do all that follow."""
LATE_MS = 1_000
"""A wake this late means that the process did not run; at least one interval, in any case."""
NEVER_MS = 2**62


class Target:
    """One address of one watch."""

    def __init__(self, ip: IpAddress, number: int, watch: Watch) -> None:
        self.ip = ip
        self.text = str(ip)
        self.number = number
        self.watch = watch
        self.verdict: bool | None = None
        self.sequence = 0
        self.next_ms = 0
        """When it is asked again."""
        self.unanswered_ms: int | None = None
        """When the oldest request was sent that nothing has answered since."""
        self.answered = 0
        """The newest sequence that was answered."""
        self.queued_ms = NEVER_MS
        """Which of its places in the queue counts."""

    def due_ms(self) -> int:
        """When it must be looked at."""
        silent_ms = self.unanswered_ms
        if silent_ms is None or self.verdict is False:
            return self.next_ms
        return min(self.next_ms, silent_ms + self.watch.dead_ms)

    def asked(self, at_ms: int) -> None:
        """A request goes out now."""
        self.sequence += 1
        self.next_ms = at_ms + self.watch.interval_ms
        if self.unanswered_ms is None:
            self.unanswered_ms = at_ms

    def heard(self, sequence: int) -> bool:
        """Believe an answer to a request of ours; whether that changes the verdict."""
        behind = (self.sequence - sequence) & 0xFFFF
        if behind >= self.sequence - self.answered:
            return False  # answered already, or never sent
        self.answered = self.sequence - behind
        self.unanswered_ms = None
        changed = self.verdict is not True
        self.verdict = True
        return changed

    def slept(self, at_ms: int) -> None:
        """This process did not run for a while: the silence begins anew."""
        if self.unanswered_ms is not None:
            self.unanswered_ms = at_ms

    def judge(self, at_ms: int) -> bool:
        """Whether its silence changes the verdict now."""
        if self.unanswered_ms is None or at_ms - self.unanswered_ms < self.watch.dead_ms or self.verdict is False:
            return False
        self.verdict = False
        return True


class Watch:
    """The monitors of one cluster. `set` replaces them; targets that stay keep their verdict."""

    def __init__(self, monitors: Monitors, name: str, answer: Callable[[Mapping[str, bool]], None]) -> None:
        self.name = name
        self.interval_ms = self.dead_ms = 0
        self.scope: Callable[[], int] = _no_scope
        self.targets: dict[str, Target] = {}
        self._monitors = monitors
        self._answer = answer

    def set(self, addresses: Iterable[str], *, interval_ms: int, dead_ms: int, scope: Callable[[], int]) -> None:
        """Watch exactly these. `scope()`: the interface that link-local ones are on."""
        self.interval_ms, self.dead_ms, self.scope = interval_ms, dead_ms, scope
        self._monitors.set(self, dict.fromkeys(addresses))

    def close(self) -> None:
        """Watch nothing, and answer no more."""
        self._answer = _nobody
        self._monitors.set(self, {})

    @property
    def verdicts(self) -> dict[str, bool]:
        """By address; one that is missing is undecided."""
        return {text: t.verdict for text, t in self.targets.items() if t.verdict is not None}

    def tell(self) -> None:
        """Answer with the verdicts as they are now."""
        self._answer(self.verdicts)


class Monitors:
    """See the module's text. In the loop's thread; nothing here waits."""

    def __init__(self, pinger: Pinger | None = None, clock: Callable[[], int] = now) -> None:
        self._pinger = pinger or Pinger()
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._targets: dict[int, Target] = {}
        self._numbers = itertools.count(1)
        self._queue: list[tuple[int, int]] = []
        self._grain_ms = GRAIN_MS
        self._timer: asyncio.TimerHandle | None = None
        self._armed_ms = NEVER_MS
        self._readers: set[int] = set()
        self._told: set[str] = set()

    def open(self, name: str, answer: Callable[[Mapping[str, bool]], None]) -> Watch:
        """A cluster's place. `answer` is called with all verdicts when one changes."""
        return Watch(self, name, answer)

    def close(self) -> None:
        """No more requests, and no more sockets."""
        self._disarm()
        self._targets.clear()
        for fd in self._readers:
            self._loop.remove_reader(fd)
        self._readers.clear()
        self._pinger.close()

    def set(self, watch: Watch, addresses: Mapping[str, None]) -> None:
        """Bring a watch's targets to these addresses."""
        for text in [t for t in watch.targets if t not in addresses]:
            del self._targets[watch.targets.pop(text).number]
        at_ms = self._clock()
        for place, text in enumerate(addresses):
            target = watch.targets.get(text)
            if target is None:
                target = watch.targets[text] = Target(ipaddress.ip_address(text), next(self._numbers), watch)
                target.next_ms = at_ms + min(SPREAD_MS, watch.interval_ms) * place // len(addresses)
                self._targets[target.number] = target
            target.next_ms = min(target.next_ms, at_ms + watch.interval_ms)
            self._queue_up(target)
        self._grain_ms = min([GRAIN_MS, *(t.watch.interval_ms // 2 for t in self._targets.values())])
        self._arm(0)

    # -- the timer

    def _ring(self) -> None:
        self._timer = None
        at_ms = self._clock()
        changed = self._read()  # answers that have come count before anybody is judged
        if at_ms - self._armed_ms > LATE_MS:
            for target in self._targets.values():
                target.slept(at_ms)
        for target in self._due(at_ms):
            if target.judge(at_ms):
                changed[target.watch] = None
                logger.warning("%s: monitor %s does not answer", target.watch.name, target.ip)
            if target.next_ms <= at_ms:
                self._ask(target, at_ms)
            self._queue_up(target)
        self._arm(at_ms + self._grain_ms)
        for watch in changed:
            watch.tell()

    def _queue_up(self, target: Target) -> None:
        due_ms = target.due_ms()
        if due_ms < target.queued_ms:
            target.queued_ms = due_ms
            heapq.heappush(self._queue, (due_ms, target.number))

    def _due(self, at_ms: int) -> Iterator[Target]:
        """Those that must be looked at now; a place in the queue that an answer has overtaken is given up."""
        while self._queue and self._queue[0][0] <= at_ms:
            queued_ms, number = heapq.heappop(self._queue)
            target = self._targets.get(number)
            if target is None or target.queued_ms != queued_ms:
                continue
            target.queued_ms = NEVER_MS
            if target.due_ms() <= at_ms:
                yield target
            else:
                self._queue_up(target)

    def _arm(self, earliest_ms: int) -> None:
        due_ms = max(earliest_ms, self._queue[0][0]) if self._targets else NEVER_MS
        if self._timer is not None and self._armed_ms == due_ms:
            return
        self._disarm()
        if due_ms < NEVER_MS:
            self._armed_ms = due_ms
            self._timer = self._loop.call_at(due_ms / 1000, self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- the sockets

    def _ask(self, target: Target, at_ms: int) -> None:
        target.asked(at_ms)
        try:
            fd = self._pinger.open(target.ip.version)
        except OSError as error:
            self._tell_once(f"monitors: no ICMP socket for IPv{target.ip.version}: {error.strerror}")
            return
        if fd is not None:
            self._readers.add(fd)
            self._loop.add_reader(fd, self._readable)
        self._pinger.send(target.ip, target.text, target.number, target.sequence, target.watch.scope())

    def _readable(self) -> None:
        for watch in self._read():
            watch.tell()

    def _read(self) -> dict[Watch, None]:
        changed: dict[Watch, None] = {}
        for reply in self._pinger.drain():
            target = self._of(reply)
            if target is None:
                continue
            dead = target.verdict is False
            if target.heard(reply.sequence):
                changed[target.watch] = None
                if dead:
                    logger.info("%s: monitor %s answers again", target.watch.name, target.ip)
        return changed

    def _of(self, reply: Reply) -> Target | None:
        target = self._targets.get(reply.number)
        return target if target is not None and reply.source == target.ip.packed else None

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            logger.error(text)


def _no_scope() -> int:
    return 0


def _nobody(verdicts: Mapping[str, bool]) -> None:
    pass
