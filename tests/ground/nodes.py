"""The nodes as machines: their disks, power, and ways in. What they run is up to systemd and the files in node/."""

import shutil
import subprocess
import sys
from pathlib import Path

from ground import cgroups, daemons, layout, network, seed, store
from ground.bins import bins
from ground.images import images
from ground.layout import NODES, netns
from ground.paths import HERE, cache
from ground.shell import GroundError, run, wait
from ground.tree import node_tree

_UNITS = ("containerd", "kubelet", "kube-proxy", "ssh")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/k8s"


def disk(node: str) -> Path:
    """Return the folder that is a node's disk: it outlives power cuts and reboots, not `down`."""
    return cache() / "nodes" / node


def check(node: str) -> str:
    """Return the name if it is a node's, else say which there are."""
    if node not in NODES:
        raise GroundError(f"there is no node {node!r}; the nodes are {', '.join(NODES)}")
    return node


def wipe(node: str) -> None:
    """Throw a node's disk away."""
    shutil.rmtree(disk(check(node)), ignore_errors=True)


def new_disk(node: str, images_store: Path) -> None:
    """Give a node a fresh disk, with the images of a store on it."""
    wipe(node)
    store.copy(images_store, disk(node) / "var/lib/containerd")


def power_on(node: str) -> None:
    """Switch a node on; it has cables and begins to boot when this returns, and is Ready some seconds later."""
    if daemons.alive(f"power-{check(node)}"):
        raise GroundError(f"{node} is on already")
    network.uncable(node)  # it may have switched itself off
    for folder in ("upper", "work", "root"):
        (disk(node) / folder).mkdir(parents=True, exist_ok=True)
    seed.write(node, disk(node) / "seed")
    environment = {
        "PATH": _PATH,
        "PYTHONPATH": str(HERE.parent),
        "NODE": node,
        "TREE": str(node_tree()),
        "DISK": str(disk(node)),
        "BIN": str(bins()),
        "IMAGES": str(cache() / "images"),
        "CONTROLLERS": " ".join(cgroups.CONTROLLERS),
    }
    daemons.start(f"power-{node}", [sys.executable, "-m", "ground.power", node], env=environment)
    wait(lambda: cgroups.members(node), 10, f"{node} to be cabled and to boot; see {daemons.log_file(f'power-{node}')}")


def power_off(node: str) -> None:
    """Cut a node's power: everything on it is gone at once, its cables are dead."""
    daemons.end(f"power-{check(node)}")
    network.uncable(node)
    cgroups.end(node)


def revive(node: str) -> None:
    """Bring a node back that is off, hangs, or has stopped units or paused containers."""
    if not daemons.alive(f"power-{check(node)}"):
        power_on(node)
        return
    cgroups.freeze(node, frozen=False)
    wait(lambda: _go_on(node), 60, f"{node} to go on")


def _go_on(node: str) -> bool:
    try:
        execute(node, "systemctl", "start", *_UNITS)
        for line in _ctr(node, "tasks", "ls").splitlines()[1:]:
            if line.split()[2] == "PAUSED":
                _ctr(node, "tasks", "resume", line.split()[0])
    except GroundError:  # it is just booting
        return False
    return True


def command(node: str, *words: str) -> list[str]:
    """Return the command line that runs a command inside a node, as one of its processes."""
    supply = daemons.pid(f"power-{check(node)}")
    pid1 = _child(_child(supply))  # power.py -> unshare -> PID 1
    if pid1 is None:
        raise GroundError(f"{node} is off")
    if cgroups.is_frozen(node):
        raise GroundError(f"{node} hangs: no command can run on it")
    enter = ["nsenter", f"--target={pid1}", "--all", "--", "env", "-i", f"PATH={_PATH}", "TERM=dumb", *words]
    return ["sh", "-c", f'{cgroups.enter_script(node)}; exec "$@"', "sh", *enter]


def execute(node: str, *words: str, stdin: str | None = None, timeout_s: float | None = 60) -> str:
    """Run a command inside a node and return what it printed."""
    return run(*command(node, *words), stdin=stdin, timeout_s=timeout_s)


def boot_id(node: str) -> str | None:
    """Return the id of a node's present boot; None if it is off or hangs."""
    try:
        return execute(node, "cat", "/proc/sys/kernel/random/boot_id").strip()
    except GroundError:
        return None


def load_images() -> None:
    """Bring the newest images into all nodes that are on."""
    images()
    names = [node for node in NODES if daemons.alive(f"power-{node}")]
    loading = [subprocess.Popen(command(node, "ground-images"), stdout=subprocess.DEVNULL) for node in names]
    failed = [node for node, process in zip(names, loading, strict=True) if process.wait() != 0]
    if failed:
        raise GroundError(f"the images could not be loaded into {', '.join(failed)}, see above")


def import_image(node: str, archive: Path) -> None:
    """Bring an image that is not the project's present one into a node."""
    with archive.open("rb") as content:
        words = command(node, "ctr", "-n", "k8s.io", "images", "import", "-")
        done = subprocess.run(words, stdin=content, capture_output=True, text=True)
    if done.returncode != 0:
        raise GroundError(f"{archive} could not be imported into {node}: {done.stderr.strip()}")


def container(node: str, name: str) -> str:
    """Return the id of the running (or paused) container called `name` in its pod."""
    query = f'labels."io.kubernetes.container.name"=={name}'
    ids = set(_ctr(node, "containers", "ls", "-q", query).split())
    for line in _ctr(node, "tasks", "ls").splitlines()[1:]:
        task, _, state = line.split()
        if task in ids and state in ("RUNNING", "PAUSED"):
            return task
    raise GroundError(f"no container {name!r} runs on {node}")


def tasks(node: str, action: str, name: str, *options: str) -> None:
    """Pause, resume or kill the container `name` below Kubernetes, through containerd."""
    _ctr(node, "tasks", action, *options, container(node, name))


def ssh(node: str, *words: str) -> list[str]:
    """Return the command line of an ssh login from the client's network."""
    options = "-F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    options += f" -o LogLevel=ERROR -o ConnectTimeout=3 -i {seed.SSH_KEY}"
    return network.inside(netns("client"), "ssh", *options.split(), f"root@{layout.address(check(node))}", *words)


def _ctr(node: str, *words: str) -> str:
    return execute(node, "ctr", "-n", "k8s.io", *words)


def _child(process: int | None) -> int | None:
    if process is None:
        return None
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
