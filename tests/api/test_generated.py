"""Generated files are what the generator writes now, and the chart's one is the same CRD."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from api.conftest import ROOT
from vyos_agent.core import model
from vyos_api import crd, reasons


def test_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main(["--check", "--root", str(ROOT)]) == 0, capsys.readouterr().err


def test_print(capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main(["--print"]) == 0
    assert capsys.readouterr().out == (ROOT / crd.PLAIN).read_text()


def test_out_of_date_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert crd.main(["--root", str(tmp_path)]) == 0
    assert crd.main(["--check", "--root", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / crd.PLAIN).write_text("old")
    assert crd.main(["--check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "crds/vyosclusters.cluster.vyos.io.yaml: out of date, run make generate\n"


def test_the_charts_template_is_the_same_crd() -> None:
    text = crd.template().replace('{{ "{{" }}', "{{")
    assert text.startswith("{{- if .Values.crds.enabled }}\n")
    assert text.endswith("{{- end }}\n")
    assert "{{- if .Values.crds.keep }}\n  annotations:\n    helm.sh/resource-policy: keep\n  {{- end }}\n" in text
    plain = yaml.safe_load(re.sub(r"^ *\{\{.*\n", "", text, flags=re.MULTILINE))
    assert plain["metadata"] == {
        "name": "vyosclusters.cluster.vyos.io",
        "labels": None,
        "annotations": {"helm.sh/resource-policy": "keep"},
    }
    assert plain["spec"] == yaml.safe_load(crd.plain())["spec"]


def test_no_braces_that_helm_would_run() -> None:
    body = crd.template().partition("spec:\n")[2].removesuffix("{{- end }}\n")
    assert "{{" not in body.replace('{{ "{{" }}', "")


@pytest.mark.parametrize(
    "module",
    ["names", "nodeconfig", "keys", "durations", "services", "reasons", "limits", "rules"],
)
def test_light_modules_stay_light(module: str) -> None:
    """The heartbeat process and kube-sync take these without pydantic."""
    code = f"import vyos_api.{module}, sys; sys.exit(bool({{'pydantic', 'yaml'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_api_knows_every_reason_of_the_core() -> None:
    assert {r.value for r in model.Reason} <= {r.value for r in reasons.OwnershipReason}


def test_every_reason_is_explained() -> None:
    tree = ast.parse(Path(reasons.__file__).read_text())
    for word in (n for n in tree.body if isinstance(n, ast.ClassDef)):
        for member, text in zip(word.body[1::2], word.body[2::2], strict=True):
            assert isinstance(member, ast.Assign), word.name
            assert isinstance(text, ast.Expr), ast.unparse(member)
            value = ast.literal_eval(member.value)
            assert re.fullmatch("[A-Z][A-Za-z]+", value), value
            assert len(ast.literal_eval(text.value).splitlines()) == 1, value
