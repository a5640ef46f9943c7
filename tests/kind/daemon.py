"""A Docker daemon of our own, for a machine that has none: all of it lives in namespaces that end with one process.

It has no network but its own bridges, and no image but what it is given. Killing the one recorded process is a power
cut for the daemon, its containers and their pods; the machine's firewall, mounts and sysctls are never touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from ground import cgroups
from ground.bins import bins
from ground.paths import cache, locked
from ground.shell import GroundError, quiet, run, step, wait
from ground.tree import node_tree
from kind.bins import HERE, kind_bins
from kind.image import node_image

IMAGE = "kindest/node:own"
GROUP = "vc-kind"
_NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup")
_SYS_RESOURCE = 24  # linux/capability.h
_MODULES = Path("/lib/modules")  # kind shows it to its nodes, and Docker insists that it is there
_DOCKERFILE = (
    "FROM vyos-cluster/node-tree\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\n"
    'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]\n'
)

_process: subprocess.Popen[bytes] | None = None
"""The daemon, where it is a child of ours: an object that goes while its process runs is warned of."""


def state() -> Path:
    """Return the folder of what belongs to the daemon that runs."""
    return cache() / "kind" / "state"


def up() -> None:
    """Start the daemon and give it the node image; what another left over is taken away first."""
    down()
    archive = node_image()
    tools = _tools()
    state().mkdir(parents=True, exist_ok=True)
    if not _MODULES.exists():
        _MODULES.mkdir()
        (state() / "made-modules").touch()
    with step("a Docker daemon in its own namespaces"):
        _start(tools)
    _load_image(archive)


def down() -> None:
    """End the daemon and everything in it; its images stay in the cache, its containers do not."""
    global _process
    pid = _outer()
    if pid is not None:
        with contextlib.suppress(GroundError):  # it may hang, or never have come up: the next one clears up after it
            _clear()
        os.kill(pid, signal.SIGKILL)
    if _process is not None:
        _process.wait()
        _process = None
    folders = [cgroups.ROOT / controller / GROUP for controller in cgroups.CONTROLLERS]
    wait(lambda: all([_removed(folder) for folder in folders]), 60, f"the cgroups {GROUP} to be empty", every_s=0.1)
    if (state() / "made-modules").exists():
        with contextlib.suppress(OSError):
            _MODULES.rmdir()
    shutil.rmtree(state(), ignore_errors=True)


def inside() -> list[str]:
    """Return what stands before a command that is to run beside the daemon."""
    pid = _outer()
    if pid is None:
        raise GroundError("the Docker daemon of tests/kind does not run")
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    if not child:
        raise GroundError(f"the Docker daemon of tests/kind did not start:\n{_log()}")
    return ["nsenter", "--target", child[0], *_NAMESPACES, f"--wd={HERE.parents[1]}", "--"]


def environment() -> dict[str, str]:
    """Return the environment of such a command: our programs first, and a home of its own."""
    path = f"{cache() / 'kind' / 'tools'}:{kind_bins()}:{bins()}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    home = str(state())
    return {"PATH": path, "HOME": home, "DOCKER_HOST": "unix:///run/docker.sock", "KUBECONFIG": f"{home}/kubeconfig"}


def _outer() -> int | None:
    """The process that holds the namespaces, if it is still that."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((state() / "pid").read_text())
        if b"unshare" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def _removed(folder: Path) -> bool:
    for path, _, _ in reversed([*os.walk(folder)]):
        with contextlib.suppress(OSError):
            Path(path).rmdir()
    return not folder.exists()


def _log() -> str:
    with contextlib.suppress(OSError):
        return (state() / "dockerd.log").read_text()[-3000:]
    return ""


def _tools() -> Path:
    """The daemon's programs: Docker's from its Debian package, unpacked; containerd and runc are the nodes' own."""
    out = cache() / "kind" / "tools"
    if shutil.which("iptables") is None:
        raise GroundError("iptables is not installed, and Docker needs it: apt-get install iptables")
    with locked("kind-tools"):
        if not (out / "dockerd").exists():
            shutil.rmtree(out, ignore_errors=True)
            with step("Docker out of its Debian package"), tempfile.TemporaryDirectory(dir=out.parent) as work:
                os.chmod(work, 0o755)
                try:
                    run("sh", "-c", 'cd "$0" && apt-get -q download docker.io', work)
                except GroundError as error:
                    raise GroundError(f"{error}\nIf it is not found: apt-get update") from None
                (package,) = Path(work).glob("docker.io_*.deb")
                run("dpkg", "-x", str(package), f"{work}/tree")
                (Path(work) / "tools").mkdir()
                for name in ("bin/docker", "sbin/dockerd", "bin/docker-proxy", "sbin/docker-proxy"):
                    if (program := Path(work) / "tree/usr" / name).exists():
                        shutil.copy2(program, Path(work) / "tools")
                (Path(work) / "tools").rename(out)
        tree = node_tree()
        links = {name: tree / "usr/bin" / name for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
        links["runc"] = tree / "usr/sbin/runc" if _may(_SYS_RESOURCE) else HERE / "dockerd/runc"
        for name, target in links.items():
            (out / name).unlink(missing_ok=True)
            (out / name).symlink_to(target)
    return out


def _may(capability: int) -> bool:
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(lines["CapBnd"], 16) >> capability & 1)


def _start(tools: Path) -> None:
    data = cache() / "kind" / "docker"
    data.mkdir(exist_ok=True)
    for controller in cgroups.CONTROLLERS:
        folder = cgroups.ROOT / controller / GROUP
        folder.mkdir(exist_ok=True)
        if controller == "cpuset":  # an empty cpuset takes no process
            for file in ("cpuset.cpus", "cpuset.mems"):
                (folder / file).write_text((cgroups.ROOT / "cpuset" / file).read_text())
    enter = " ".join(f"{cgroups.ROOT}/{controller}/{GROUP}/cgroup.procs" for controller in cgroups.CONTROLLERS)
    script = (
        f"for f in {enter}; do echo $$ > $f || exit 125; done; exec unshare {' '.join(_NAMESPACES)} --fork "
        f"--kill-child=KILL --propagation=private --mount-proc {HERE}/dockerd/init"
    )
    env = {**os.environ, "DATA": str(data), "TOOLS": str(tools), "RUNC": str(node_tree() / "usr/sbin/runc")}
    global _process
    with open(state() / "dockerd.log", "wb") as log:
        _process = started = subprocess.Popen(
            ["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
        )
    (state() / "pid").write_text(str(started.pid))

    def answers() -> bool:
        if started.poll() is not None:
            raise GroundError(f"the Docker daemon ended:\n{_log()}")
        return _outer() is not None and quiet("env", *_assignments(), *_entered("docker", "version"))

    try:
        wait(answers, 60, "the Docker daemon to answer", every_s=0.2)
    except GroundError as error:
        raise GroundError(f"{error}\n{_log()}") from None
    _clear()  # an earlier daemon may have been killed; this one starts its containers again


def _clear() -> None:
    """Remove all containers, running or not, and their volumes: each node has a copy of /var in one."""
    if containers := run(*_entered("docker", "ps", "-aq"), env=environment(), timeout_s=30).split():
        run(*_entered("docker", "rm", "--force", "--volumes", *containers), env=environment(), timeout_s=120)


def _assignments() -> list[str]:
    return [f"{name}={value}" for name, value in environment().items()]


def _entered(*command: str) -> list[str]:
    try:
        return [*inside(), *command]
    except GroundError:
        return ["false"]  # not yet


def _load_image(archive: Path) -> None:
    label = f"made-of={archive.stem}"
    if run(*_entered("docker", "images", "-q", "--filter", f"label={label}"), env=environment()).strip():
        return
    with step("the node image into Docker"):
        run(*_entered("docker", "import", str(archive), "vyos-cluster/node-tree"), env=environment())
        # `docker import` knows neither STOPSIGNAL nor ENTRYPOINT
        build = _entered("docker", "build", "-q", "--label", label, "-t", IMAGE, "-")
        run(*build, stdin=_DOCKERFILE, env={**environment(), "DOCKER_BUILDKIT": "0"})
        run(*_entered("docker", "image", "prune", "--force"), env=environment())  # what it was before
