"""Who lives: a table of who says what of whom."""

import pytest

from vyos_operator.living import Death, living

DEAD_MS = 20_000


def deaths(text: str) -> list[Death]:
    """`a>b@60` means: a says that b is dead since second 60."""
    found = []
    for word in text.split():
        pair, _, at = word.partition("@")
        reporter, _, subject = pair.partition(">")
        found.append(Death(reporter, subject, int(at) * 1000))
    return found


@pytest.mark.parametrize(
    ("speakers", "said", "alive"),
    [
        pytest.param("", "", "", id="nobody has spoken"),
        pytest.param("ab", "", "ab", id="nobody is accused"),
        pytest.param("a", "a>b@60", "a", id="the dead one never spoke"),
        pytest.param("ab", "a>b@60", "a", id="one is dead"),
        pytest.param("abc", "a>c@60 b>c@61", "ab", id="both others say so"),
        pytest.param("abc", "a>c@60", "ab", id="one accuser is enough"),
        pytest.param("abc", "a>b@60 a>c@60", "a", id="the last one standing"),
        pytest.param("ab", "b>a@10 a>b@60", "a", id="a survived b, whose last words accuse a"),
        pytest.param("ab", "b>a@20 a>b@60", "ab", id="exactly two dead intervals apart: a partition still"),
        pytest.param("ab", "a>b@60 b>a@60", "ab", id="partition"),
        pytest.param("ab", "a>b@60 b>a@62", "ab", id="partition, noticed one after the other"),
        pytest.param("abc", "a>b@60 b>a@61 a>c@60 c>a@61", "abc", id="one member cut off from the two others"),
        pytest.param("abc", "b>c@10 a>b@60", "ac", id="the word of the dead counts for nothing"),
        pytest.param("abc", "b>c@10 a>b@60 a>c@12", "a", id="... but the living repeat it"),
        pytest.param("abcd", "a>b@60 b>c@10 c>d@90", "ac", id="a chain: b dead, so c lives, so d is dead"),
        pytest.param("abc", "a>b@10 b>c@20 c>a@30", "b", id="a ring is cut at its newest word: a is dead, so b lives"),
        pytest.param("ab", "a>a@10 b>a@5", "b", id="nobody's word about itself counts"),
        pytest.param("ab", "x>a@10", "ab", id="a stranger's word does not count"),
    ],
)
def test_living(speakers: str, said: str, alive: str) -> None:
    assert living(list(speakers), deaths(said), DEAD_MS) == frozenset(alive)
