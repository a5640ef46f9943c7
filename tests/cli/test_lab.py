"""The lab as a person has it: the real command, real daemons, real kernels."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from vyos_cluster.__main__ import app
from vyos_cluster.lab.machines import RUN, Lab

pytestmark = pytest.mark.netns
DEMO = Path(__file__).resolve().parents[2] / "examples/demo.yaml"
COMMAND = (sys.executable, "-P", "-m", "vyos_cluster", "lab")
PATIENCE_S = 30.0


class Up:
    """A running `lab up`, and what it says."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._log = directory / "up.log"
        self._pen = self._log.open("w")
        self.process = subprocess.Popen([*COMMAND, "up", str(DEMO), "--name", name], stdout=self._pen, stderr=self._pen)

    @property
    def text(self) -> str:
        return self._log.read_text()

    def says(self, *words: str) -> str:
        """Wait for a line with all the words; the line."""
        end = time.monotonic() + PATIENCE_S
        while True:
            for line in self.text.splitlines():
                if all(word in line for word in words):
                    return line
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no line with {words} in:\n{self.text}")
            time.sleep(0.05)

    def play(self, *args: str) -> subprocess.CompletedProcess[str]:
        return play(*args, "--name", self.name)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._pen.close()


def play(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    """Begin a lab; whatever it leaves is removed."""
    name, begun = f"t{secrets.token_hex(3)}", []

    def begin() -> Up:
        begun.append(Up(name, tmp_path))
        return begun[-1]

    yield begin
    for lab in begun:
        lab.close()
    Lab(name).sweep()
    with contextlib.suppress(FileNotFoundError):
        (RUN / f"{name}.lock").unlink()


def gone(name: str) -> bool:
    return Lab(name).namespaces() == [] and not Lab(name).directory.exists()


def test_a_killed_owner_is_followed_by_the_other_and_comes_back_as_standby(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("group cluster: node1 owns 192.168.0.123 (FirstClaim)")
    lab.says("192.168.0.123 answers")
    assert lab.play("kill", "node1").returncode == 0
    lab.says("the daemon of node1 is gone")
    lab.says("group cluster: node2 owns 192.168.0.123 (PeerDead)")
    lab.says("192.168.0.123 answers again")
    assert lab.play("start", "node1").returncode == 0
    lab.says("the daemon of node1 runs")
    assert "own at once" not in lab.text
    again = lab.play("start", "node1")
    assert (again.returncode, again.stderr) == (1, "vyos-cluster lab: the daemon of node1 runs already\n")
    assert lab.play("down").returncode == 0
    assert lab.process.wait(PATIENCE_S) == 0
    assert gone(lab.name)


def test_what_is_foretold_comes_true(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("node1 owns")
    wait_for_peers(lab.name)
    said = forecast(lab.name, "--down", "node1")
    assert (said.returncode, said.stdout) == (0, "edge/cluster: node1 -> node2\n")
    assert forecast(lab.name, "--down", "node2").stdout == "edge/cluster: stays at node1\n"
    row = {"cluster": "edge", "group": "cluster", "owner": "node1", "then": "node2"}
    assert json.loads(forecast(lab.name, "--down", "node1", "-o", "json").stdout) == [row]
    assert yaml.safe_load(forecast(lab.name, "--down", "node1", "-o", "yaml").stdout) == [row]
    unknown = forecast(lab.name, "--down", "node9")
    assert unknown.returncode == 1
    assert "members are: node1, node2" in unknown.stderr
    lab.play("kill", "node1")
    lab.says("node2 owns 192.168.0.123 (PeerDead)")
    alone = forecast(lab.name, "--down", "node2")
    assert (alone.returncode, alone.stdout) == (3, "edge/cluster: node2 -> nobody (node1 is not heard)\n")


def test_a_restart_hands_over_and_ends_no_process(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("node1 owns")
    wait_for_peers(lab.name)
    there = Lab(lab.name)
    pids, socket = there.pids("node1"), str(there.directory / "r0" / "control.sock")
    done = subprocess.run(
        [*COMMAND[:-1], "restart", "--socket", socket], capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Restarting cluster node...Success!\n", "")
    lab.says("node2 owns 192.168.0.123 (PeerLeft)")
    assert there.pids("node1") == pids
    wait_for_peers(lab.name)
    assert lab.play("down").returncode == 0


def test_a_failover_is_seen_by_the_watch_and_its_pipe_has_no_colour(up: Callable[[], Up], tmp_path: Path) -> None:
    lab = up()
    lab.says("node1 owns")
    wait_for_peers(lab.name)
    seen = tmp_path / "seen"
    socket = str(Lab(lab.name).directory / "r1/control.sock")
    with seen.open("w") as pen:
        watch = subprocess.Popen(
            [sys.executable, "-P", "-m", "vyos_cluster", "watch", "--socket", socket],
            stdout=pen,
            stderr=pen,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it in the background
        )
    try:
        until(lambda: "edge/cluster  node1" in seen.read_text())
        lab.play("kill", "node1")
        until(lambda: "PeerDead" in seen.read_text() and "Peer node1: Dead" in seen.read_text())
        watch.send_signal(signal.SIGINT)
        assert watch.wait(PATIENCE_S) == 0
    finally:
        watch.kill()
        watch.wait()
    assert "\x1b" not in seen.read_text()
    assert "Traceback" not in seen.read_text()


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def forecast(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "vyos_cluster", "simulate", "--socket"]
    command.append(str(Lab(name).directory / "r1/control.sock"))
    return subprocess.run([*command, *args], capture_output=True, text=True, check=False, timeout=60)


def wait_for_peers(name: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not all(r and r["clusters"][0]["peers"]["ready"] == 1 for r in map(Lab(name).report, ("node1", "node2"))):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_cut_cable_moves_the_address_and_mending_heals(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("node1 owns")
    assert lab.play("cut", "node1", "eth0").returncode == 0
    lab.says("node2", "192.168.0.123 (PeerDead)")
    lab.says("192.168.0.123 answers again")
    assert lab.play("mend", "node1", "eth0").returncode == 0
    wrong = lab.play("cut", "node1", "eth7")
    assert (wrong.returncode, wrong.stderr) == (1, "vyos-cluster lab: node1 has no interface eth7; there are: eth0\n")
    unknown = lab.play("kill", "node9")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "vyos-cluster lab: the lab has no router node9; there are: node1, node2\n",
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("early", [True, False])
def test_an_interrupted_lab_leaves_nothing(up: Callable[[], Up], number: signal.Signals, early: bool) -> None:
    lab = up()
    if early:  # in the midst of building
        end = time.monotonic() + PATIENCE_S
        while not Lab(lab.name).namespaces() and time.monotonic() < end:
            time.sleep(0.01)
    else:
        lab.says("node1 owns")
    lab.process.send_signal(number)
    assert lab.process.wait(PATIENCE_S) == 0
    assert gone(lab.name)


def test_what_a_killed_lab_left_is_taken_down_and_a_new_one_can_begin(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("node1 owns")
    lab.process.kill()
    lab.process.wait()
    assert not gone(lab.name)
    second = up()
    second.says("node1 owns")
    second.process.kill()
    second.process.wait()
    assert second.play("down").stdout == f"lab {lab.name} is down\n"
    assert gone(lab.name)
    assert second.play("down").stdout == f"there was no lab {lab.name}\n"


def test_a_frozen_daemon_is_taken_down_too(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("node1 owns")
    pids = [pid for router in ("node1", "node2") for pid in Lab(lab.name).pids(router)]
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # ours: they run in this test's namespaces
    lab.process.kill()
    lab.process.wait()
    assert lab.play("down").returncode == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert gone(lab.name)


def test_one_name_stands_once(up: Callable[[], Up]) -> None:
    lab = up()
    lab.says("node1 owns")
    other = lab.play("up", str(DEMO))
    assert other.returncode == 1
    assert f"a lab named {lab.name} is up" in other.stderr
    assert lab.process.poll() is None
    assert set(Lab(lab.name).namespaces()) != set()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["lab", "up", "/nowhere.yaml"], 1, "/nowhere.yaml: cannot be read: No such file or directory"),
        (["lab", "kill", "node1", "--name", "nolab"], 1, "begin with `vyos-cluster lab up FILE`"),
        (["lab", "down", "--name", "../etc"], 1, "must be 1 to 20 lower-case letters"),
        (["lab", "kill"], 2, "ROUTER"),
        (["simulate", "--down", "r1", "--socket", "/nowhere"], 1, "/nowhere: No such file or directory"),
        (["simulate", "--down", "r1"], 2, "--socket"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(args: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(app, args)
    assert result.exit_code == code
    assert said in result.output
    assert "Traceback" not in result.output
