"""vyos-cluster-heartbeat: the daemon that holds addresses. Command line, signals, and what lives how long.

Two ways to be told what to serve: over the control socket (kube-sync does that; the state directory remembers it), or
by one file on a router without Kubernetes.
"""

from __future__ import annotations

import argparse
import asyncio
import enum
import logging
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from vyos_agent.edge import logs, reader, requests
from vyos_agent.edge.control import ControlError, ControlServer, InUse
from vyos_agent.edge.daemon import Daemon
from vyos_agent.edge.orders import Item, Orders
from vyos_agent.edge.services import HostServices
from vyos_agent.edge.state import State
from vyos_api import __version__, host_units
from vyos_api.host_units import HostUnits

logger = logging.getLogger("vyos_agent.heartbeat")

NODE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?")
"""A node's name in Kubernetes is a DNS subdomain (RFC 1123); routers alone may have capitals in theirs."""
BAD_USAGE = 2
"""Exit code for a command line or file that cannot be used, as argparse has it."""
SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
SWITCH_INTERVAL_S = 0.0005
"""A worker thread that computes gives the loop its turn after so long, not after 5 ms (shared/protocol section 8)."""


class End(enum.Enum):
    """Why it ended."""

    STOPPED = enum.auto()
    RESTART = enum.auto()
    BROKEN = enum.auto()


class NoStartError(Exception):
    """The machine refuses what the daemon needs at its start; the text says what."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to stop; the process' exit code."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.config is None and options.control is None:
        parser.error("nothing to serve: give --config FILE, or --control SOCKET to be told")
    log = logs.configure(options.log_level, options.log_format)
    try:
        return _serve(options, log)
    finally:
        log.finish()


def _serve(options: argparse.Namespace, log: logs.Queued) -> int:
    try:
        item = _load_as_member(options)
    except ValueError as error:
        print(error, file=sys.stderr)
        return BAD_USAGE
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        end = asyncio.run(_run(options, item), debug=False)
    except NoStartError as error:
        print(f"vyos-cluster-heartbeat: {error}", file=sys.stderr)
        return 1
    if end is End.RESTART:
        # the same process: nobody who watches over it sees it end, and has it wait for its next start
        log.finish()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return int(end is End.BROKEN)


async def _run(options: argparse.Namespace, item: Item | None) -> End:
    loop = asyncio.get_running_loop()
    leaving = _Leaving()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leaving.ask, End.STOPPED, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGHUP, _nothing_to_read)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # an earlier life has them blocked while it begins anew
    services = HostServices(allowed=HostUnits(options.host_services))
    state = State(options.state)
    daemon = Daemon(options.node, state, keep_configs=item is None, services=services, hooks=options.hooks)
    control = _control(options, daemon, lambda: _restart(options, leaving))
    _start(daemon)
    try:
        if control is not None:
            await _listen(control)
        if item is None:
            await daemon.resume()
        else:
            reload = _Reload(options, daemon)
            loop.add_signal_handler(signal.SIGHUP, reload.ask)
            await daemon.configure(Orders((item,), ()))
        daemon.manners.begin()
        await asyncio.wait([leaving.asked, daemon.broken], return_when=asyncio.FIRST_COMPLETED)
        if daemon.broken.done():
            logger.critical("cannot go on; the kernel's lifetimes end what this node holds", exc_info=_error(daemon))
            leaving.end = End.BROKEN
    finally:
        daemon.manners.end()
        if control is not None:
            await control.stop()
        await daemon.stop()
    if leaving.end is End.RESTART:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # they wait for the next life's handlers: exec keeps both
    return leaving.end


def _start(daemon: Daemon) -> None:
    try:
        daemon.start()
    except OSError as error:
        raise NoStartError(error) from error


async def _listen(control: ControlServer) -> None:
    try:
        await control.start()
    except (OSError, InUse) as error:
        raise NoStartError(error) from error


class _Leaving:
    """Why the daemon is to leave: who asks first has it leave, and who ends it for good has the last word."""

    def __init__(self) -> None:
        self.asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.end = End.STOPPED

    def ask(self, end: End, why: str) -> None:
        """Leave, for this reason."""
        if self.end is End.BROKEN:
            return
        if not self.asked.done():
            logger.info("%s: leaving", why)
            self.asked.set_result(None)
            self.end = end
        elif self.end is End.RESTART:
            self.end = end


class _Reload:
    """Reads the file again when asked; one that cannot be used changes nothing."""

    def __init__(self, options: argparse.Namespace, daemon: Daemon) -> None:
        self._options = options
        self._daemon = daemon
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def ask(self) -> None:
        """Now, or when the reading that is under way has ended."""
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        while self._again:
            self._again = False
            try:
                item = await asyncio.to_thread(_load, self._options)
            except ValueError as error:
                logger.error("the file is not taken, what runs goes on:\n%s", error)
                continue
            assert item is not None
            if not _is_member(item):
                logger.warning("%s names %s no more: handing over its groups", self._options.config, item.config.node)
            await self._daemon.configure(Orders((item,), ()))


async def _restart(options: argparse.Namespace, leaving: _Leaving) -> None:
    """Begin anew, if the next life will be able to. Raises ControlError.

    A process reads the file, for seconds on a busy router: heartbeats go on meanwhile.
    """
    try:
        await asyncio.to_thread(_load_as_member, options)
    except ValueError as error:
        raise ControlError(f"it would not come back: {error}") from None
    leaving.ask(End.RESTART, "restart")


def _nothing_to_read() -> None:
    logger.info("SIGHUP: there is no file to read again")


def _load_as_member(options: argparse.Namespace) -> Item | None:
    """The order in the file, None without a file. Raises ValueError, also where the file does not name this node."""
    item = _load(options)
    if item is not None and not _is_member(item):
        text = f"{item.config.node} is no member of {item.config.cluster} (members: {', '.join(item.config.members)})"
        raise ValueError(f"{options.config}: {text}")
    return item


def _is_member(item: Item) -> bool:
    return item.config.node in item.config.members


def _load(options: argparse.Namespace) -> Item | None:
    """The order in the file, None without a file. Raises FileError, which is a ValueError."""
    if options.config is None:
        return None
    peers: dict[str, list[str]] = {}
    for name, address in options.peer:
        peers.setdefault(name, []).append(address)
    return reader.load(options.config, options.node, peers)


def _control(
    options: argparse.Namespace, daemon: Daemon, restart: Callable[[], Awaitable[None]]
) -> ControlServer | None:
    if options.control is None:
        return None
    file = None if options.config is None else str(options.config)
    return ControlServer(options.control, requests.handlers(daemon, file=file, restart=restart), options.control_gid)


def _error(daemon: Daemon) -> BaseException | None:
    return None if daemon.broken.cancelled() else daemon.broken.exception()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vyos-cluster-heartbeat",
        description="Holds the shared addresses of VyosClusters on this router.",
        epilog="Signals: SIGTERM and SIGINT leave all clusters and end; SIGHUP reads --config again.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--version", action="version", version=f"%(prog)s {__version__}")
    add("--node", required=True, type=_node, metavar="NAME", help="this router's name in the clusters' groups")
    add("--control", type=Path, metavar="SOCKET", help="answer requests there (docs/control-socket.md)")
    add("--control-gid", type=int, metavar="GID", help="let this group use the control socket; default: nobody else")
    add("--state", type=Path, metavar="DIR", help="remember configurations and epochs there")
    add("--config", type=Path, metavar="FILE", help="serve the VyosCluster in this manifest, with no Kubernetes")
    text = "with --config and unicast: an address of another member; once for each"
    add("--peer", type=_peer, action="append", default=[], metavar="NAME=ADDRESS", help=text)
    add("--hooks", type=Path, metavar="DIR", help="run the executables there when groups move (docs/hooks.md)")
    text = "host units that a group may name, as globs (ssh,openvpn@*); default: all that a node does not need"
    add("--host-services", type=_globs, default=host_units.ALL, metavar="GLOB[,GLOB]", help=text)
    level, log_format = os.environ.get("LOG_LEVEL", "INFO"), os.environ.get("LOG_FORMAT", "text")
    add("--log-level", type=_one_of(logs.LEVELS), default=level, metavar="LEVEL", help=f"{', '.join(logs.LEVELS)}")
    add("--log-format", type=_one_of(logs.FORMATS), default=log_format, metavar="FORMAT", help="text or json")
    return parser


def _node(text: str) -> str:
    if not NODE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no node name: letters, digits, '-' and '.', at most 253")
    return text


def _peer(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=")
    if not NODE.fullmatch(name) or not address:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=ADDRESS")
    return name, address


def _globs(text: str) -> tuple[str, ...]:
    try:
        return host_units.patterns(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _one_of(words: Sequence[str]) -> Callable[[str], str]:
    """Unlike argparse's choices this checks a default from the environment, too."""

    def check(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(words)}")
        return text

    return check


if __name__ == "__main__":
    sys.exit(main())
