"""No constraint of the generated CRD is without a case that breaks it, and no case without its constraint."""

from __future__ import annotations

import pytest

from api import walk
from api.cases import REFUSED, SCHEMA, TRAPS, Case, shows


def test_every_constraint_has_a_case() -> None:
    missing = set(walk.constraints(SCHEMA)) - {c.breaks for c in REFUSED}
    assert not missing, "add a case to tests/api/refused.yaml for each of them"


def test_every_case_has_its_constraint() -> None:
    stale = {c.breaks for c in REFUSED + TRAPS} - set(walk.constraints(SCHEMA))
    assert not stale, "no such constraint (any more)"


@pytest.mark.parametrize("case", REFUSED + TRAPS, ids=str)
def test_the_answer_shows_the_constraint_at_work(case: Case) -> None:
    assert shows(case)


def test_only_rules_about_changes_are_left_to_the_api_server() -> None:
    assert {c.breaks for c in REFUSED + TRAPS if not c.model} == {
        ":rule=a group that is still in spec.groups must keep its entry in status.groups",
        "status.groups[]:rule=the epoch of a group must not go back",
        "status.groups[]:rule=a new owner needs a higher epoch",
    }


def test_an_unknown_keyword_is_noticed() -> None:
    with pytest.raises(AssertionError, match="x: multipleOf is not known here"):
        walk.constraints({"type": "object", "properties": {"x": {"type": "integer", "multipleOf": 5}}})


def test_everything_is_bounded() -> None:
    """CEL's cost limits, and etcd's: every string has a length, every list a number of items, every number a least."""
    for path, node in walk.nodes(SCHEMA):
        if path in ("apiVersion", "kind"):
            continue
        match node.get("type"):
            case "string":
                assert "maxLength" in node or "enum" in node, path
            case "array":
                assert "maxItems" in node, path
                assert node["x-kubernetes-list-type"] in ("atomic", "map"), path
            case "integer":
                assert "minimum" in node, path
            case None:
                assert node["x-kubernetes-int-or-string"], path
                assert "maxLength" in node, path


def test_every_rule_says_something() -> None:
    """No rule answers with FieldValueDuplicate, which drops the message; every message is unlike "failed rule"."""
    for path, node in walk.nodes(SCHEMA):
        for rule in node.get("x-kubernetes-validations", []):
            assert rule["reason"] in ("FieldValueInvalid", "FieldValueForbidden"), path
            assert rule["message"], path


def test_every_field_is_explained() -> None:
    """`kubectl explain` shows a sentence for each."""
    for path, node in walk.nodes(SCHEMA):
        if path != "metadata" and not path.endswith("[]"):
            assert node.get("description"), path
