"""The two orders: claims that settle, and candidates that are ranked."""

from __future__ import annotations

import itertools

import pytest

from vyos_agent.core import election
from vyos_agent.core.election import Candidate, Claim, Watch
from vyos_agent.core.model import MemberId

A, B, C = MemberId(1), MemberId(2), MemberId(3)


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        pytest.param(Claim(B, 8, 1), Claim(A, 7, 0), id="a higher epoch beats a better rank"),
        pytest.param(Claim(B, 7, 0), Claim(A, 7, 1), id="of equal epochs the better rank"),
        pytest.param(Claim(A, 7, 0), Claim(B, 7, 0), id="of equal ranks the lower identity"),
    ],
)
def test_of_two_claims_one_stays(stronger: Claim, weaker: Claim) -> None:
    assert election.strongest([weaker, stronger]) == stronger == election.strongest([stronger, weaker])


def test_no_claim_is_the_strongest_of_none() -> None:
    assert election.strongest([]) is None


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(Candidate(B, 1, 2, 9), Candidate(A, 0, 1, 9), id="more of the same monitors"),
        pytest.param(Candidate(A, 0, 1, 9), Candidate(B, 1, 2, 8), id="counts of different lists say nothing"),
        pytest.param(Candidate(A, 0, 1, 9), Candidate(B, 1, 1, 9), id="as many monitors: the rank"),
        pytest.param(Candidate(A, 0, 0, 0), Candidate(B, 1, 0, 0), id="none against none: the rank"),
        pytest.param(Candidate(A, 0), Candidate(B, 0), id="equal in all: the identity"),
    ],
)
def test_one_ranking(better: Candidate, worse: Candidate) -> None:
    assert better.comes_before(worse)
    assert not worse.comes_before(better)


@pytest.mark.parametrize(
    ("one", "other", "more", "outranks"),
    [
        pytest.param(Candidate(A, 0, 2, 9), Candidate(B, 1, 1, 9), True, False, id="better in both: for its monitors"),
        pytest.param(Candidate(B, 1, 2, 9), Candidate(A, 0, 1, 9), True, False, id="more monitors, worse rank"),
        pytest.param(Candidate(A, 0, 1, 9), Candidate(B, 1, 2, 9), False, False, id="fewer monitors, better rank"),
        pytest.param(Candidate(A, 0, 2, 9), Candidate(B, 1, 2, 9), False, True, id="as many, better rank"),
        pytest.param(Candidate(A, 0, 1, 9), Candidate(B, 1, 2, 8), False, True, id="other monitors, better rank"),
        pytest.param(Candidate(A, 0, 1, 9), Candidate(B, 0, 1, 9), False, False, id="a tie moves nothing"),
        pytest.param(Candidate(B, 0, 0, 9), Candidate(A, 0, 0, 9), False, False, id="none against none neither"),
    ],
)
def test_strictly_better(one: Candidate, other: Candidate, more: bool, outranks: bool) -> None:
    assert (one.reaches_more(other), one.outranks(other)) == (more, outranks)


def test_every_candidate_has_a_place_of_its_own() -> None:
    candidates = [Candidate(A, 0, 1, 9), Candidate(B, 1, 3, 9), Candidate(C, 2, 3, 9)]
    for order in itertools.permutations(candidates):
        assert {c.member: election.turn(order, c) for c in order} == {B: 0, C: 1, A: 2}
    assert [election.wait_ms(i, 1000) for i in range(3)] == [0, 1050, 2100]


def test_a_list_of_monitors_has_one_name_in_any_order() -> None:
    assert election.list_hash(["10.0.0.1", "10.0.0.2"]) == election.list_hash(["10.0.0.2", "10.0.0.1"]) != 0
    assert election.list_hash(["10.0.0.1"]) != election.list_hash(["10.0.0.2"])
    assert election.list_hash([]) == 0


def test_who_is_better_no_more_waits_anew() -> None:
    watch = Watch()
    watch.see([A, B], 100)
    watch.see([B], 200)
    watch.see([A, B], 300)
    assert (watch.since_ms(A), watch.since_ms(B), watch.since_ms(C)) == (300, 100, None)
    watch.restart()
    assert watch.since_ms(B) is None
