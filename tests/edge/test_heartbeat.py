"""The command line of the daemon, and its file on a router without Kubernetes."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vyos_agent import config as configs
from vyos_agent import heartbeat
from vyos_agent.edge import standalone
from vyos_agent.edge.daemon import Daemon
from vyos_api import keys, manifest

MANIFEST = """\
apiVersion: cluster.vyos.io/v1alpha1
kind: VyosCluster
metadata: {name: edge}
spec:
  interfaces: [eth0]
  preSharedSecret: {secretKeyRef: {name: edge-psk, key: secret}}
  groups:
    - name: cluster
      primary: r1
      secondaries: [r2]
      services: [192.168.0.123/24/eth0]
---
apiVersion: v1
kind: Secret
metadata: {name: edge-psk}
stringData: {secret: "S3cr#t"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(MANIFEST)
    return path


def test_two_members_read_one_cluster(file: Path) -> None:
    first, second = standalone.load(file, "r1"), standalone.load(file, "r2")
    assert (first.core.me, second.core.me) == ("r1", "r2")
    assert first.core.cluster_id == second.core.cluster_id
    assert first.core.keyring == second.core.keyring
    uid = manifest.load(MANIFEST).metadata.uid
    assert first.core.keyring.keys == {1: keys.heartbeat_key(b"S3cr#t", uid)}, "the operator's derivation"
    assert first.config.dead_ms == 20_000


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("interfaces: [eth0]", "interfaces: []", "spec.interfaces"),
        ("primary: r1", "primary: r2", "spec.groups[0]"),
        ("spec:", "spec:\n  unicast: true", "spec.unicast: where r2 can be reached is not known; give --peer r2="),
        ("name: edge-psk}\nstringData", "name: other}\nstringData", "other"),
        ("kind: VyosCluster", "kind: Pod", "Pod is not used here"),
        (MANIFEST, "{", "not YAML"),
        (MANIFEST, "\x00\x01", "not YAML"),
    ],
)
def test_a_bad_file_names_the_field_and_quotes_no_secret(
    file: Path, old: str, new: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(MANIFEST.replace(old, new))
    assert heartbeat.main(["--node", "r1", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert str(file) in error
    assert "S3cr#t" not in error


def test_unicast_needs_the_peers_addresses(file: Path) -> None:
    file.write_text(MANIFEST.replace("spec:", "spec:\n  unicast: true"))
    item = standalone.load(file, "r1", {"r2": ["192.0.2.2", "2001:db8::2"], "r9": ["192.0.2.9"]})
    assert item.config.nodes == {"r2": ("192.0.2.2", "2001:db8::2")}
    assert item.core.interfaces == ("eth0", configs.UNICAST)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert heartbeat.main(["--node", "r1", "--config", str(tmp_path / "none")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    assert heartbeat.main(["--node", "r1", "--config", str(tmp_path / "binary")]) == 2
    assert "it is not UTF-8" in capsys.readouterr().err


def test_a_node_that_is_no_member(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert heartbeat.main(["--node", "r9", "--config", str(file)]) == 2
    assert "r9 is no member of edge (members: r1, r2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "the following arguments are required: --node"),
        (["--node", "r1"], "nothing to serve: give --config FILE, or --control SOCKET"),
        (["--node", "r 1", "--control", "x"], "'r 1' is no node name"),
        (["--node", "r1", "--control", "x", "--control-gid", "wheel"], "invalid int value: 'wheel'"),
        (["--node", "r1", "--control", "x", "--log-level", "LOUD"], "'LOUD' is none of DEBUG, INFO, WARNING, ERROR"),
        (["--node", "r1", "--control", "x", "--log-format", "xml"], "'xml' is none of text, json"),
        (["--node", "r1", "--control", "x", "--surprise"], "unrecognized arguments: --surprise"),
    ],
)
def test_a_bad_command_line(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        heartbeat.main(args)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_bad_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(SystemExit):
        heartbeat.main(["--node", "r1", "--control", "x"])
    assert "'xml' is none of text, json" in capsys.readouterr().err


def test_under_kubernetes_the_apis_models_are_not_loaded() -> None:
    """They would cost more memory than the daemon itself."""
    code = "import sys, vyos_agent.heartbeat; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "yaml", "pyroute2", "lightkube", "kubernetes"} & set(loaded)


def test_what_only_some_clusters_need_is_not_loaded() -> None:
    """Host services bring dbus-fast, 3 MiB; a file brings the API's models, 16 MiB."""
    code = "import sys, vyos_agent.heartbeat; print([m for m in ('dbus_fast', 'pydantic', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("text", ["a b", "ssh,,x", "a/b"])
def test_a_list_of_host_units_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        heartbeat.main(["--node", "r1", "--control", "x", "--host-services", text])
    assert "--host-services: " in capsys.readouterr().err


def test_host_units_on_the_command_line() -> None:
    parse = heartbeat._parser().parse_args
    assert parse(["--node=r1"]).host_services == ("*",)
    assert parse(["--node=r1", "--host-services=ssh,openvpn@*"]).host_services == ("ssh", "openvpn@*")
    assert parse(["--node=r1", "--host-services="]).host_services == ()


async def test_a_restart_reads_the_file_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes seconds on a busy router, and heartbeats and leases do not wait."""
    monkeypatch.setattr(heartbeat, "_load_as_member", lambda options: time.sleep(0.3))
    leaving, late_s = heartbeat._Leaving(), 0.0

    async def beat() -> None:
        nonlocal late_s
        while True:
            at = time.monotonic()
            await asyncio.sleep(0.01)
            late_s = max(late_s, time.monotonic() - at - 0.01)

    beating = asyncio.create_task(beat())
    await heartbeat._restart(argparse.Namespace(), leaving)
    beating.cancel()
    assert leaving.end is heartbeat.End.RESTART
    assert late_s < 0.25, "the loop stood still while the file was read"


def test_a_fault_while_serving_is_told_with_where_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the machine refuses at the start is one line; a later OSError is a fault of ours and keeps its trace."""

    async def broken(_: Daemon) -> None:
        raise OSError("of no socket in particular")

    monkeypatch.setattr(Daemon, "resume", broken)
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)  # pytest's process goes on
    with pytest.raises(OSError, match="of no socket"):
        heartbeat.main(["--node", "r1", "--control", str(tmp_path / "socket")])
    (tmp_path / "file").touch()
    assert heartbeat.main(["--node", "r1", "--control", str(tmp_path / "file")]) == 1
    error = capsys.readouterr().err
    assert "vyos-cluster-heartbeat: " in error
    assert "is there and is no socket" in error
    assert "Traceback" not in error
