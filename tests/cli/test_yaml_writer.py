"""Every reader of YAML reads what is written: PyYAML (1.1), a reader of YAML 1.2, and kubectl."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ground.apiserver import ApiServer
from vyos_api import yaml_writer

STRINGS = (
    *("0E0", "1e5", "1E5", "0o17", "017", "0x1F", "0b101", "1_000", "1.5", "-1", "+1", "1.", ".5", "1e", "12e03", "-0"),
    *(".inf", "-.inf", ".Inf", ".NaN", ".nan", "inf", "NaN", "Infinity", "1:30", "190:20:30", "1:30.5", "60:00"),
    *("y", "Y", "n", "N", "yes", "Yes", "NO", "on", "Off", "true", "TRUE", "False", "~", "null", "Null", "NULL", ""),
    *("2026-12-01", "2026-12-01T10:00:00Z", "2026-12-01 10:00:00", "=", "<<", "?", "-", "- a", "a: b", "a:", ":a", "#"),
    *(" a", "a ", "a #b", "!a", "&a", "*a", "@a", "`a", "%a", "|", ">", "'", '"', "''", "a'b", "[a]", "{a: b}", ","),
    *("a\tb", "a\x85b", "a\u2028b", "\ufeffa", "a\r\nb", "\x9f", "9223372036854775808", "1e999"),
    *("192.168.0.1", "192.168.0.1/24/eth0", "fd00::1", "fd00::1/64", "10.0.0.1/8", "1/2", "/etc/x", "edge", "node-1"),
    *("a\nb", "a\n", "\n", "\t", "ä", "\u2028", "\x7f", "\u00a0", "S3cr#t", "0", "00", "1", "e5", "0.0", "1__0", "0o"),
)
"""What some version of YAML reads as something else than a string, or has a syntax for; and what is written often."""


def readers(text: str) -> dict[str, Any]:
    return {"YAML 1.1": yaml.safe_load(text), "YAML 1.2": YAML(typ="safe", pure=True).load(text)}


@pytest.mark.parametrize("value", STRINGS)
def test_a_string_stays_a_string(value: str) -> None:
    document = {"value": value, "list": [value], f"key {value}": {value: 1}}
    for name, read in readers(yaml_writer.dump(document)).items():
        assert read == document, name


@given(
    st.one_of(
        st.text("0123456789.eE+-_:xob/ ynYNTF~", max_size=8),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12),
    )
)
def test_so_does_any_other(value: str) -> None:
    for name, read in readers(yaml_writer.dump([value])).items():
        assert read == [value], name


def test_other_values_stay_what_they_are() -> None:
    document = {"a": 1, "b": True, "c": None, "d": [1.5, "x"], "e": {}}
    for read in readers(yaml_writer.dump(document)).values():
        assert read == document
    assert list(yaml.safe_load_all(yaml_writer.dump_all([document, document]))) == [document, document]


def test_what_needs_no_quotes_has_none() -> None:
    plain = ["edge", "node-1", "192.168.0.123/24/eth0", "cluster.vyos.io/v1alpha1", "/etc/x", "openvpn@tun0"]
    assert yaml_writer.dump(plain) == "".join(f"- {text}\n" for text in plain)


def test_line_breaks_of_any_version_of_yaml_are_escaped() -> None:
    text = yaml_writer.dump({"a": "b\x85c\u2028d\u2029e\rf\ng"})
    assert text == 'a: "b\\Nc\\Ld\\Pe\\rf\\ng"\n'


def test_a_value_that_stands_twice_is_written_twice() -> None:
    twice = {"name": "edge"}
    assert yaml_writer.dump({"a": twice, "b": twice}) == "a:\n  name: edge\nb:\n  name: edge\n"


def test_nothing_else_of_the_product_writes_yaml() -> None:
    root = Path(__file__).parents[2]
    found = [p for part in ("crds", "cli", "operator", "node-agent") for p in (root / part / "src").rglob("*.py")]
    assert [p.name for p in found if re.search(r"yaml\.(safe_)?(dump|emit|serialize)", p.read_text())] == [
        "yaml_writer.py"
    ]


@pytest.mark.apiserver
def test_kubectl_reads_the_same(apiserver: ApiServer) -> None:
    data = {f"s{number}": text for number, text in enumerate(STRINGS)}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "strings", "namespace": "default"}}
    apiserver.kubectl("apply", "-f", "-", stdin=yaml_writer.dump({**body, "data": data}))
    try:
        found = json.loads(apiserver.kubectl("get", "configmap", "strings", "-ojson"))
        assert found["data"] == data
    finally:
        apiserver.kubectl("delete", "configmap", "strings")
