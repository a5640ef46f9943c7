"""Mutants of sections 1, 2 and 6: lifetimes, adoption, lateness, the gate."""

from __future__ import annotations

from mutants.kinds import Mutant

_L = "sim/test_schedules_lease.py::"
_T = "sim/test_schedules_time.py::"

LEASE = (
    Mutant(
        "lifetime-below-dead",
        "L leaves room for two lost frames",
        "lease.py",
        "(dead_ms - 2 * keepalive_ms - KERNEL_LATE_MS)",
        "(dead_ms - KERNEL_LATE_MS)",
        _L + "test_f1b_a_kill_after_n_lost_frames_makes_no_second_holder",
    ),
    Mutant(
        "kernel-is-punctual",
        "E, the kernel's lateness, is 1.1 s",
        "lease.py",
        "KERNEL_LATE_MS = 1_100",
        "KERNEL_LATE_MS = 0",
        _L + "test_f1b_a_kill_after_n_lost_frames_makes_no_second_holder",
    ),
    Mutant(
        "newest-dead-only",
        "lifetimes go by the smallest dead interval in the last three frames",
        "lease.py",
        "FRAMES_REMEMBERED = 3",
        "FRAMES_REMEMBERED = 1",
        _L + "test_f1_grown_intervals_and_a_kill_while_the_standby_judges_by_the_old_ones",
    ),
    Mutant(
        "no-top-up",
        "renewed between frames when K is long and L short",
        "lease.py",
        "return 0 < self.top_up_ms() <= now and",
        "return False and",
        _L + "test_f1_a_healthy_owner_keeps_its_address_when_standbys_die_and_frames_are_lost",
    ),
    Mutant(
        "no-gate",
        "one gate, may_hold(now), stands before every add and renewal",
        "holding.py",
        "return now < self.lease.end_ms",
        "return True",
        _T + "test_f6_an_expired_address_does_not_come_back_on_thaw",
    ),
    Mutant(
        "never-late",
        "a node that finds itself late holds back",
        "vigil.py",
        "return max(overdue_ms, slept_ms) > limit_ms",
        "return False",
        _T + "test_f11_a_queue_that_kept_the_oldest_frames_claims_nothing",
    ),
    Mutant(
        "judges-while-asleep",
        "a late node judges nobody for one largest D",
        "vigil.py",
        "if self.sleep is None or now < self.sleep.until_ms:",
        "if self.sleep is None:",
        _T + "test_f11_a_queue_that_kept_the_oldest_frames_claims_nothing",
    ),
    Mutant(
        "resumes-unacknowledged",
        "a suspended owner waits until every member heard acknowledges a frame sent since",
        "vigil.py",
        "return bool(heard) and all(p.acked > self.sleep.floor for p in heard)",
        "return True",
        _T + "test_f6_a_thawed_owner_that_missed_the_claim_holds_nothing_until_it_is_acknowledged",
    ),
    Mutant(
        "lease-does-not-lapse",
        "late is a lapsed lease, too",
        "holding.py",
        "return 0 < self.lease.end_ms <= now and",
        "return False and",
        _T + "test_a_late_owner_is_owner_again_when_acknowledged_or_when_nobody_is_heard",
    ),
    Mutant(
        "carrier-is-nothing",
        "D with no carrier on any heartbeat link is like a late loop",
        "vigil.py",
        "return self._dark_since_ms is not None and now - self._dark_since_ms >= dead_ms",
        "return False",
        "sim/test_schedules_election.py::test_f17_a_switch_that_reboots_moves_nothing",
    ),
    Mutant(
        "adopts-unacknowledged",
        "adopted addresses are not renewed until a living peer has acknowledged this life",
        "rules.py",
        "elif at.awake and at.acknowledged and (at.heard or turn.now >= found.due_ms):",
        "elif at.awake:",
        _L + "test_f9",
    ),
    Mutant(
        "adopts-without-witness",
        "the kernel is the witness: an address with life left",
        "adoption.py",
        "return {vip: left_ms[vip] for vip in vips if left_ms.get(vip, 0) > 0}",
        "return {vip: left_ms.get(vip, 5_000) for vip in vips}",
        _L + "test_f9c_a_state_file_from_another_node_adopts_nothing",
    ),
    Mutant(
        "standby-unswept",
        "standby is said only after the kernel holds nothing any more",
        "rules.py",
        "return held is not None and (held - but).isdisjoint(m.group.vips)",
        "return True",
        _L + "test_f9b_standby_is_said_only_after_the_sweep",
    ),
)
