"""Every rule of docs/protocol.md has a test that quotes it, word for word."""

from __future__ import annotations

import collections

from spec import document
from spec.citations import Citation, citations, in_source

RULES = dict(document.rules(document.text()))


def test_the_document_states_rules() -> None:
    ids = [rule for rule, _ in document.rules(document.text())]
    assert len(ids) > 80
    assert [rule for rule, n in collections.Counter(ids).items() if n > 1] == []


def test_nothing_that_looks_like_a_rule_is_missed() -> None:
    text = document.text()
    assert text.count("- **[") == len(document.rules(text))


def test_every_rule_says_must() -> None:
    assert [rule for rule, sentence in RULES.items() if "must" not in sentence.split()] == []


def test_rules_are_numbered_without_a_gap() -> None:
    numbers: dict[str, list[int]] = {}
    for rule in RULES:
        kind, number = rule.split("-")
        numbers.setdefault(kind, []).append(int(number))
    assert {kind: found for kind, found in numbers.items() if found != list(range(1, len(found) + 1))} == {}


def test_ids_that_the_document_mentions_exist() -> None:
    import re

    mentioned = set(re.findall(r"\[([A-Z]+-\d+)\]", document.text()))
    assert mentioned == RULES.keys()


def test_every_rule_has_a_test() -> None:
    tested = {c.id for c in citations() if c.counts}
    assert sorted(RULES.keys() - tested) == []


def test_every_quote_is_of_a_rule_and_in_its_words() -> None:
    wrong = [f"{c}: [{c.id}] {c.quote}" for c in citations() if RULES.get(c.id) != c.quote]
    assert wrong == []


def test_the_check_sees_a_rule_without_a_test_and_a_quote_that_differs() -> None:
    document_ = "- **[X-1]** A must\n  be so.\n- **[X-2]** B must be.\n\n- **[X-3]** C must.\n"
    assert document.rules(document_) == [("X-1", "A must be so."), ("X-2", "B must be."), ("X-3", "C must.")]
    source = '''
class TestX:
    def test_a(self):
        """[X-1] A must
        be so.

        More words.
        """
        assert self

    @pytest.mark.skip
    def test_b(self):
        """[X-2] B must be."""
        assert self

    def test_c(self):
        """[X-3] C must."""
        self.look()
'''
    assert in_source(source, "tests/x/test_x.py") == [
        Citation("X-1", "A must be so.", "tests/x/test_x.py", "test_a", True),
        Citation("X-2", "B must be.", "tests/x/test_x.py", "test_b", False),
        Citation("X-3", "C must.", "tests/x/test_x.py", "test_c", False),
    ]
    assert [c.counts for c in in_source(source, "tests/e2e/test_x.py")] == [False, False, False]
