"""lint: no input ends in a traceback, and nothing but printable text comes out."""

from __future__ import annotations

import re
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from api import objects
from cli.test_lint import CLEAN, run


def survives(data: str | bytes, *options: str) -> None:
    done = run(data, *options)
    assert done.exit_code in (0, 1), done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert not re.search(r"[^\n -~\xa0-\U0010ffff]", done.stdout)


FORMS = st.sampled_from(["text", "json", "yaml"])
SIGNS = "{}[]\"'\\\n #:-&*!|>?%@`\t,~1\x00\ud7ff\U0010ffff\u2028"
WORDS = "<<: ;*a;&a ;!!int ;!!bool ;!!set ;---\n;...\n;  ;metadata: ;name: edge\n;spec:\n;  groups:\n;items:\n;data: "
KINDS = "apiVersion: cluster.vyos.io/v1alpha1\n;apiVersion: v1\n;kind: VyosCluster\n;kind: Secret\n;kind: List\n"
PIECES = st.sampled_from([*SIGNS, *WORDS.split(";"), *KINDS.split(";")])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4), st.dates()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SCALARS | st.sampled_from(["name", "kind", "metadata", "data"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.one_of(st.binary(), st.text(), st.lists(PIECES).map("".join)), FORMS)
def test_no_text_ends_in_a_traceback(data: str | bytes, form: str) -> None:
    survives(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"), "-o", form)


@given(st.integers(0, len(CLEAN)), st.integers(0, len(CLEAN)), st.lists(PIECES, max_size=3))
def test_nor_does_a_damaged_manifest(cut: int, until: int, put: list[str]) -> None:
    survives(CLEAN[:cut] + "".join(put) + CLEAN[until:])


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(p for key, below in inner for p in paths(below, (*at, key)))]


GOOD = [objects.cluster(status=objects.status()), *yaml.safe_load_all(CLEAN)]
PLACES = paths(GOOD)


@given(st.sampled_from(PLACES), VALUES, FORMS)
def test_nor_does_any_value_in_any_place(place: tuple[Any, ...], value: Any, form: str) -> None:
    documents: Any = yaml.safe_load(yaml.safe_dump(GOOD))
    if not place:
        documents = [value]
    else:
        *above, last = place
        target = documents
        for step in above:
            target = target[step]
        target[last] = value
    survives(yaml.safe_dump_all(documents), "-o", form)


def test_nor_does_a_document_that_holds_itself() -> None:
    for text in ("&a [*a]", "&a {kind: *a, apiVersion: v1}", "&a {<<: *a}", "[" * 9000, "{" * 9000, "? " * 9000):
        survives(text)
        survives(CLEAN.replace("[node2, node3]", text))
