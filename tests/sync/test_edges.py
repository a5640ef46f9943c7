"""What touches the outside: settings, the control socket's client, health, the probe, waiting."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from sync.fakes import Daemon
from vyos_agent.sync import control, probe
from vyos_agent.sync.backoff import Backoff
from vyos_agent.sync.health import Beats, Server, probes
from vyos_agent.sync.settings import Settings, from_environment
from vyos_agent.sync.world import Signal
from vyos_api.environment import SettingsError

NEEDED = {"NODE_NAME": "node1.example.org", "AGENT_NAMESPACE": "agents"}


class TestSettings:
    def test_defaults(self) -> None:
        assert from_environment(NEEDED) == Settings(
            node="node1.example.org",
            namespace="agents",
            control_socket="/run/vyos-cluster/control.sock",
            health_port=9694,
            metrics_address="",
            metrics_port=9695,
            relist_s=60,
            log_level="INFO",
            log_format="text",
        )

    def test_all(self) -> None:
        given = {
            "CONTROL_SOCKET": "/x",
            "HEALTH_PORT": "0",
            "METRICS_ADDRESS": "192.0.2.1",
            "METRICS_PORT": "9000",
            "RELIST_SECONDS": "5",
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
        }
        assert from_environment(NEEDED | given) == Settings(
            "node1.example.org", "agents", "/x", 0, "192.0.2.1", 9000, 5, "DEBUG", "json"
        )

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"NODE_NAME": ""}, "NODE_NAME: is not set; it must name the node that this agent runs on"),
            ({"AGENT_NAMESPACE": ""}, "AGENT_NAMESPACE: is not set; it must name the namespace of the agents"),
            (
                {"NODE_NAME": "Node"},
                "NODE_NAME: 'Node' is not a node's name (lower-case letters, digits, '-' and '.')",
            ),
            (
                {"AGENT_NAMESPACE": "a.b"},
                "AGENT_NAMESPACE: 'a.b' is not a namespace's name (lower-case letters, digits and '-')",
            ),
            ({"CONTROL_SOCKET": "x"}, "CONTROL_SOCKET: 'x' must be an absolute path"),
            ({"HEALTH_PORT": "65536"}, "HEALTH_PORT: '65536' is not a whole number from 0 to 65535"),
            ({"METRICS_ADDRESS": "eth0"}, "METRICS_ADDRESS: 'eth0' is no IP address"),
            ({"RELIST_SECONDS": "1m"}, "RELIST_SECONDS: '1m' is not a whole number from 1 to 3600"),
            ({"LOG_LEVEL": "info"}, "LOG_LEVEL: 'info' is not one of DEBUG, INFO, WARNING, ERROR"),
            ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: 'xml' is not one of text, json"),
        ],
    )
    def test_refused(self, given: dict[str, str], problem: str) -> None:
        with pytest.raises(SettingsError) as caught:
            from_environment(NEEDED | given)
        assert str(caught.value) == problem


class TestProcess:
    @pytest.mark.parametrize(
        ("arguments", "environ", "code", "text"),
        [
            ([], {}, 2, "NODE_NAME: is not set"),
            (["--verbose"], {}, 2, "usage: vyos-cluster-kube-sync"),
            ([], NEEDED | {"KUBECONFIG": "/nonexistent"}, 2, "/nonexistent"),
        ],
    )
    def test_a_bad_start_says_why(self, arguments: list[str], environ: dict[str, str], code: int, text: str) -> None:
        command = [sys.executable, "-m", "vyos_agent.sync", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)
        assert done.returncode == code
        assert text in done.stderr
        assert "Traceback" not in done.stderr


async def serve(path: Path, answer: bytes) -> asyncio.Server:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_unix_server(once, str(path))


class TestControl:
    async def test_a_refusal_has_the_daemons_words(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "s")
        async with daemon.life(), control.Connection(str(daemon.path)) as connection:
            with pytest.raises(control.ControlError, match="the daemon refused: unknown op 'sing'"):
                await connection.request({"op": "sing"}, 1)
            assert (await connection.request({"op": "report"}, 1))["report"]["node"] == "node1"

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            (b"", "the daemon closed the connection"),
            (b'{"ok": tr', "the daemon closed the connection"),
            (b"[1]\n", "the daemon's answer is not an object"),
            (b"hello\n", "the daemon's answer is not JSON"),
            (b"{}\n", "the daemon refused: no reason given"),
        ],
    )
    async def test_answers_that_are_none(self, tmp_path: Path, answer: bytes, problem: str) -> None:
        server = await serve(tmp_path / "s", answer)
        async with server, control.Connection(str(tmp_path / "s")) as connection:
            with pytest.raises(control.ControlError) as caught:
                await connection.request({"op": "report"}, 1)
        assert str(caught.value) == problem

    async def test_a_request_longer_than_the_daemon_takes_is_not_sent(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "s")
        async with daemon.life(), control.Connection(str(daemon.path)) as connection:
            with pytest.raises(control.ControlError, match="the daemon takes 1048576"):
                await connection.request({"op": "configure", "clusters": ["x" * (1 << 20)]}, 1)

    async def test_a_daemon_that_hangs(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "s")
        async with daemon.life(), control.Connection(str(daemon.path)) as connection:
            with pytest.raises(TimeoutError):
                await connection.request({"op": "report", "after": 1, "timeoutMs": 5000}, 0.05)


class TestProbe:
    async def test_a_daemon_that_answers(self, tmp_path: Path) -> None:
        daemon = Daemon(tmp_path / "s")
        async with daemon.life():
            assert await asyncio.to_thread(probe.alive, str(daemon.path))

    async def test_a_daemon_that_hangs_up(self, tmp_path: Path) -> None:
        async with await serve(tmp_path / "s", b""):
            assert not await asyncio.to_thread(probe.alive, str(tmp_path / "s"))

    def test_no_daemon(self, tmp_path: Path) -> None:
        command = [sys.executable, "-I", "-m", "vyos_agent.sync.probe", str(tmp_path / "s")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert done.stderr.startswith("the daemon does not answer at ")

    def test_it_starts_quickly_as_it_imports_next_to_nothing(self) -> None:
        program = (
            "import sys, vyos_agent.sync.probe; sys.exit(any(m in sys.modules for m in ('asyncio', 'json', 'logging')))"
        )
        assert subprocess.run([sys.executable, "-I", "-c", program], timeout=30).returncode == 0


async def ask(port: int, text: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    return answer.decode()


class TestHealth:
    @pytest.fixture
    def ready(self) -> list[bool]:
        return [False]

    async def test_answers(self, unused_tcp_port: int, ready: list[bool]) -> None:
        beats = Beats()
        beat = beats.add("configure", 50)
        server = asyncio.create_task(Server(probes(beats, lambda: ready[0])).serve(unused_tcp_port))
        await asyncio.sleep(0.02)
        try:
            get = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
            beat()
            assert (await ask(unused_tcp_port, get % b"healthz")).startswith("HTTP/1.1 200 OK\r\n")
            await asyncio.sleep(0.06)
            stuck = await ask(unused_tcp_port, get % b"healthz")
            assert stuck.startswith("HTTP/1.1 503 ")
            assert stuck.endswith("stuck: configure\n")
            assert (await ask(unused_tcp_port, get % b"readyz")).startswith("HTTP/1.1 503 ")
            ready[0] = True
            assert (await ask(unused_tcp_port, get % b"readyz")).startswith("HTTP/1.1 200 ")
            assert (await ask(unused_tcp_port, get % b"metrics")).startswith("HTTP/1.1 404 ")
            assert (await ask(unused_tcp_port, b"\x16\x03\r\n\r\n")).startswith("HTTP/1.1 404 ")
            assert await ask(unused_tcp_port, b"x" * 20_000) == ""
        finally:
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)


class TestSignal:
    async def test_a_change_while_busy_is_not_missed(self) -> None:
        signal = Signal()
        seen = signal.version
        signal.notify()
        async with asyncio.timeout(1):
            await signal.wait(seen, 60_000)

    async def test_all_who_wait_wake(self) -> None:
        signal = Signal()
        waiting = [asyncio.create_task(signal.wait(signal.version, 60_000)) for _ in range(3)]
        await asyncio.sleep(0)
        signal.notify()
        async with asyncio.timeout(1):
            await asyncio.gather(*waiting)

    async def test_time_ends_it(self) -> None:
        signal = Signal()
        await signal.wait(signal.version, 10)

    async def test_a_change_does_not_swallow_a_cancellation(self) -> None:
        signal = Signal()
        waiting = asyncio.create_task(signal.wait(signal.version, 60_000))
        await asyncio.sleep(0)
        signal.notify()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


def test_backoff_grows_to_its_cap_and_starts_anew() -> None:
    backoff = Backoff(first_ms=100, cap_ms=300)
    waits = [backoff.failed() for _ in range(4)]
    assert all(
        low <= w <= high for w, (low, high) in zip(waits, [(50, 100), (100, 200), (150, 300), (150, 300)], strict=True)
    )
    backoff.worked()
    assert backoff.failed() <= 100
