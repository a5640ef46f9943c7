"""The small parts: times that grow, schedules, what is new, last words, proofs."""

from __future__ import annotations

import pytest

from sim.build import VIP
from vyos_agent.core import lease
from vyos_agent.core.adoption import Adoption, witnessed
from vyos_agent.core.announce import NEVER_MS, Announcer
from vyos_agent.core.farewell import FAREWELL_GAP_MS, RELEASE_LIMIT_MS, STOP_LIMIT_MS, Farewell
from vyos_agent.core.model import Serving, Vip
from vyos_agent.core.novelty import Novelty
from vyos_agent.core.sent import KEPT_MS, SPARE, SentLog
from vyos_agent.core.services import Backoff, Services

UNITS = ("ssh.service",)
OTHER = Vip("192.168.0.124", 24, "eth0")


class TestBackoff:
    """design.md section 5, rule 6: 30 s x 2^n, at most 1 h."""

    def test_it_doubles_up_to_an_hour(self) -> None:
        backoff, now, lengths = Backoff(), 0, []
        for _ in range(9):
            backoff.fail(now)
            lengths.append((backoff.until_ms - now) // 1000)
            now = backoff.until_ms
        assert lengths == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]

    def test_an_hour_without_a_failure_is_forgotten(self) -> None:
        backoff = Backoff()
        backoff.fail(0)
        backoff.fail(30_000)
        assert backoff.until_ms == 90_000
        backoff.fail(90_000 + 3_600_000)
        assert backoff.until_ms == 90_000 + 3_600_000 + 30_000

    def test_a_person_ends_it(self) -> None:
        backoff = Backoff()
        backoff.fail(0)
        assert backoff.active(29_999)
        assert not backoff.active(30_000)
        backoff.reset()
        assert not backoff.active(1)
        backoff.fail(10)
        assert backoff.until_ms == 30_010


class TestServices:
    @pytest.mark.parametrize(
        ("wanted", "told", "stopped", "failed", "stuck"),
        [
            (True, Serving.RUNNING, False, False, False),
            (True, Serving.STARTING, False, False, False),
            (True, Serving.FAILED, False, True, False),
            (True, Serving.ABSENT, False, True, False),
            (False, Serving.STOPPED, True, False, False),
            (False, Serving.STOPPING, False, False, False),
            (False, Serving.FAILED, False, False, True),
            (False, Serving.ABSENT, True, False, False),
            (None, Serving.STOPPED, False, False, False),
        ],
    )
    def test_what_the_shell_tells_means(
        self, wanted: bool | None, told: Serving, stopped: bool, failed: bool, stuck: bool
    ) -> None:
        services = Services()
        services.want(wanted)
        services.tell(told, "")
        assert (services.stopped(UNITS), services.failed(), services.cannot_stop()) == (stopped, failed, stuck)
        assert services.stopped(())

    def test_an_answer_to_another_question_is_none(self) -> None:
        services = Services()
        services.want(False)
        services.tell(Serving.STOPPED, "")
        services.want(True)
        services.want(False)
        assert not services.stopped(UNITS)

    def test_a_unit_that_does_not_exist_is_absent_whatever_is_asked(self) -> None:
        services = Services()
        services.want(False)
        services.tell(Serving.ABSENT, "no ssh.service")
        services.want(True)
        assert services.failed()
        assert services.message == "no ssh.service"


class TestNovelty:
    def test_new_until_all_know(self) -> None:
        novelty = Novelty(100)
        novelty.learn([VIP], [VIP, OTHER], 100)
        novelty.ripen(200, 6000, same_generation=False)
        assert (novelty.since_ms, set(novelty.vips)) == (100, {OTHER})
        assert novelty.due_ms(6000) == [6100, 6100]
        novelty.ripen(300, 6000, same_generation=True)
        assert (novelty.since_ms, novelty.vips, novelty.due_ms(6000)) == (None, {}, [])

    def test_or_for_the_initial_dead_interval(self) -> None:
        novelty = Novelty(100)
        novelty.learn([], [OTHER], 200)
        novelty.ripen(6100, 6000, same_generation=False)
        assert (novelty.since_ms, set(novelty.vips)) == (None, {OTHER})
        novelty.ripen(6200, 6000, same_generation=False)
        assert novelty.vips == {}

    def test_what_is_named_no_more_is_forgotten(self) -> None:
        novelty = Novelty(None)
        novelty.learn([], [VIP, OTHER], 100)
        novelty.learn([VIP, OTHER], [VIP], None)
        assert set(novelty.vips) == {VIP}


class TestAnnouncer:
    def test_a_burst_then_a_refresh(self) -> None:
        announcer, times = Announcer(), []
        announcer.burst(0, 3)
        for now in range(0, 10_000, 100):
            if now >= announcer.due_ms:
                announcer.take(now, interval_ms=200, refresh_ms=5000)
                times.append(now)
        assert times == [0, 200, 400, 5400]
        announcer.cancel()
        assert announcer.due_ms == NEVER_MS


class TestFarewell:
    def test_three_words_when_nothing_is_held(self) -> None:
        farewell, said = Farewell(), []
        assert not farewell.say(busy=False, now=0)
        farewell.begin(100)
        farewell.begin(500)
        for now in range(100, 400):
            if not farewell.over and farewell.say(busy=now < 150, now=now):
                said.append(now)
        assert said == [150, 150 + FAREWELL_GAP_MS, 150 + 2 * FAREWELL_GAP_MS]

    def test_it_does_not_wait_for_ever(self) -> None:
        farewell = Farewell()
        farewell.begin(0)
        assert not farewell.is_over_time(STOP_LIMIT_MS - 1)
        assert farewell.is_over_time(STOP_LIMIT_MS)
        assert not farewell.say(busy=True, now=STOP_LIMIT_MS + RELEASE_LIMIT_MS - 1)
        assert farewell.say(busy=True, now=STOP_LIMIT_MS + RELEASE_LIMIT_MS)


class TestLease:
    @pytest.mark.parametrize(
        ("dead_ms", "keepalive_ms", "life_ms"),
        [(20_000, 5_000, 8_000), (5_000, 1_000, 1_000), (2_100, 500, 1_000), (30, 10, 1_000), (10_100, 1_000, 7_000)],
    )
    def test_the_formula(self, dead_ms: int, keepalive_ms: int, life_ms: int) -> None:
        """L = max(1 s, floor(D - 2K - 1.1 s)) in whole seconds."""
        assert lease.lifetime_ms(dead_ms=dead_ms, keepalive_ms=keepalive_ms) == life_ms

    def test_the_smallest_dead_interval_of_the_last_three_frames_counts(self) -> None:
        held = lease.Lease()
        assert held.life_ms(dead_ms=20_000, keepalive_ms=1_000) == 16_000
        for sent in (3_000, 20_000, 20_000):
            held.frame_sent(0, sent)
            assert held.life_ms(dead_ms=20_000, keepalive_ms=1_000) == 1_000
        held.frame_sent(0, 20_000)
        assert held.life_ms(dead_ms=20_000, keepalive_ms=1_000) == 16_000

    def test_topped_up_with_400_ms_left_and_a_frame_within_the_keepalive(self) -> None:
        held = lease.Lease()
        held.frame_sent(0, 3_000)
        held.renew(0, 1_000)
        assert not held.top_up_due(599, 1_000, False)
        assert held.top_up_due(600, 1_000, False)
        assert not held.top_up_due(1_001, 1_000, False)
        assert held.top_up_due(1_001, 1_000, True)
        held.lapse()
        assert not held.top_up_due(600, 1_000, True)


class TestAdoption:
    def test_only_what_is_alive_is_a_witness(self) -> None:
        assert witnessed((VIP, OTHER), {VIP: 1500, OTHER: 0}) == {VIP: 1500}
        found = Adoption({VIP: 1500, OTHER: 2500}, 100)
        assert (found.end_ms, found.due_ms) == (1600, 1200)


class TestSentLog:
    def test_when_a_sequence_was_sent(self) -> None:
        log = SentLog()
        log.sent(2, 100)
        log.sent(4, 200)
        assert [log.at_ms(s) for s in (0, 1, 2, 3, 4, 5)] == [None, 100, 100, 200, 200, None]

    def test_it_forgets_what_no_frame_can_name_any_more(self) -> None:
        log = SentLog()
        for i in range(3 * SPARE):
            log.sent(i + 1, i * 1_000)
        last_ms = (3 * SPARE - 1) * 1_000
        assert log.at_ms(1) is None
        assert log.at_ms(3 * SPARE) == last_ms
        kept = [s for s in range(1, 3 * SPARE + 1) if log.at_ms(s) is not None]
        assert kept == list(range(kept[0], 3 * SPARE + 1))
        assert KEPT_MS // 1_000 <= len(kept) <= KEPT_MS // 1_000 + SPARE + 1

    def test_whole_sequences_from_their_low_half(self) -> None:
        log = SentLog()
        log.newest = (7 << 32) + 5
        assert log.whole(5) == (7 << 32) + 5
        assert log.whole(6) == (6 << 32) + 6
        log.newest = 5
        assert log.whole(6) is None
