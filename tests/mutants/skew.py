"""Mutants of sections 11, 18 and 19: the heir of a new configuration, and claims in the status."""

from __future__ import annotations

from mutants.kinds import Mutant

_S = "sim/test_schedules_skew.py::"
_SETTLEMENT = "spec/test_settlement.py::"

SKEW = (
    Mutant(
        "first-to-learn-takes",
        "an owner that leaves by configuration waits until its heir carries the configuration",
        "motives.py",
        "if hard in _CONFIGURED and not self._heir_knows(group, turn):",
        "if False:",
        _S + "test_a_removed_owner_waits_for_the_heir_of_the_new_configuration",
    ),
    Mutant(
        "waits-for-all",
        "a member that is not the heir is not waited for",
        "motives.py",
        "return heir is not None and heir.peer.generation >= turn.at.config.generation",
        "return False",
        _S + "test_a_removed_owner_does_not_wait_for_a_member_that_is_not_the_heir",
    ),
    Mutant(
        "waits-for-ever",
        "an heir that never learns of the configuration is waited for no longer than a dead interval",
        "motives.py",
        "if turn.at.same_generation or turn.now >= limit_ms:",
        "if turn.at.same_generation:",
        _S + "test_a_removed_owner_waits_no_longer_than_a_dead_interval",
    ),
    Mutant(
        "rank-of-another-configuration",
        "a member with another configuration has the rank that the receiver's gives it",
        "view.py",
        "if p.id in group.member_ids and p.generation != generation}",
        "if False}",
        _S + "test_an_owner_that_dies_during_a_change_is_followed_in_rank",
    ),
    Mutant(
        "old-configuration-preferred",
        "a leaving owner gives to the best member, also to one with a newer configuration",
        "handover.py",
        "s.peer.generation >= turn.at.config.generation]",
        "s.peer.generation == turn.at.config.generation]",
        _S + "test_a_leaving_owner_gives_to_the_best_member_whichever_configuration_it_carries",
    ),
    Mutant(
        "outbids-the-status",
        "a claim of another member in the status is not outbid at once",
        "group.py",
        "        if other is not None:\n            if epoch >= self.epoch:",
        "        if False:\n            if other is not None and epoch >= self.epoch:",
        _S + "test_the_status_tells_the_old_owner_of_the_new_one_before_their_frames_meet",
    ),
    Mutant(
        "outbids-a-later-claim",
        "a member that knew of this owner's claim has claimed later: it is not outbid after one dead interval",
        "status_claim.py",
        "deads = AWARE_DEADS if pending.owner in self._aware else 1",
        "deads = 1",
        _S + "test_a_second_owner_that_both_read_in_the_status_is_not_outbid_while_the_partition_lasts",
    ),
    Mutant(
        "never-outbids",
        "the claim of a member that is silent is outbid after a dead interval",
        "status_claim.py",
        "if not self._says_nothing(pending, turn) and turn.now < self._patience_end_ms(pending, turn):",
        "if not self._says_nothing(pending, turn):",
        _S + "test_the_claim_of_a_member_that_is_dead_is_outbid_after_a_dead_interval",
    ),
    Mutant(
        "waits-for-who-let-go",
        "the claim of a member that is heard without one is outbid after two keepalives",
        "status_claim.py",
        "if not self._says_nothing(pending, turn) and turn.now < self._patience_end_ms(pending, turn):",
        "if turn.now < self._patience_end_ms(pending, turn):",
        _S + "test_the_claim_of_a_member_that_has_let_go_is_outbid_as_soon_as_it_is_heard",
    ),
    Mutant(
        "outbids-what-is-heard",
        "a claim that is heard is settled by the frames",
        "status_claim.py",
        "if any(claim.owner == pending.owner for claim in turn.view.claims):",
        "if False:",
        _SETTLEMENT + "test_a_claim_in_the_status_that_is_heard_is_settled",
    ),
    Mutant(
        "passes-the-status-on",
        "a claim that is known from the status only is not stated in frames",
        "group.py",
        "self.status_claims.note(other, epoch, now)",
        "self.status_claims.note(other, epoch, now)\n                self.epoch = max(self.epoch, epoch)",
        _SETTLEMENT + "test_a_claim_in_the_status_is_not_stated",
    ),
    Mutant(
        "claims-below-the-status",
        "a claim is above every epoch in the status",
        "group.py",
        "self.raise_epoch(max(self.epoch, turn.view.epoch, self.status_claims.epoch))",
        "self.raise_epoch(max(self.epoch, turn.view.epoch))",
        _SETTLEMENT + "test_a_claim_in_the_status_is_not_stated",
    ),
)
