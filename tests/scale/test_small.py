"""The benchmark itself, small: it runs twice, tells all its figures, and leaves nothing behind."""

import json
import tempfile
from pathlib import Path

import pytest

from scale import __main__ as scale
from scale import machine
from scale.http import WRITES

pytestmark = pytest.mark.apiserver


@pytest.mark.e2e_long
@pytest.mark.timeout(300)
def test_it_runs_twice_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(machine.children().values())
    folders = _folders()
    for out in (tmp_path / "first.json", tmp_path / "second.json"):
        small = [
            "--clusters=6",
            "--nodes=9",
            "--edits=3",
            "--moves=3",
            "--quiet-minutes=0.05",
            "--profile=never",
            f"--out={out}",
        ]
        assert scale.main(small) == 0
        found = json.loads(out.read_text())
        assert set(scale.TARGETS) <= set(found)
        assert found["writes while quiet"] == 0
        # six clusters, three members' entries and a group's each: status writes are counted
        assert found["writes while cold"]["vyosclusters"] >= 6 * 5
        assert set(machine.children().values()) == before
        assert _folders() == folders


def test_a_write_to_a_status_is_counted() -> None:
    line = (
        'apiserver_request_total{code="200",component="apiserver",dry_run="",group="cluster.vyos.io",'
        'resource="vyosclusters",scope="resource",subresource="status",verb="APPLY",version="v1alpha1"} 7'
    )
    match = WRITES.match(line)
    assert match is not None
    assert match["resource"] == "vyosclusters"


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("vyos-cluster-scale-*"))
