"""The whole ground: up, down, and what is there."""

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

from ground import cgroups, controlplane, daemons, layout, network, nodes, packages, seed, store
from ground.apiserver import ApiServer
from ground.bins import bins
from ground.layout import NODES, netns
from ground.paths import STATE, cache
from ground.pki import Pki, control_plane_pki
from ground.shell import GroundError, say, wait

KUBECONFIG = STATE / "pki" / "root.conf"
NODE_GRACE_S = 20  # Kubernetes' own default is 50 s; shorter, so that tests need not wait
STAGE_S = 90.0  # no stage of `up` takes a fifth of it
ETCD_DISK = "etcd-disk"
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
_ETCD_PORTS = (2379, 2380)
# One number per user for the whole machine, and root on every node is the machine's root: 128, the kernel's
# default, does not do for several systemds
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_INSTANCES = "1024"


def is_up() -> bool:
    """Say whether anything of a ground is there."""
    return bool(network.leftovers() or cgroups.members("."))


def traces() -> list[str]:
    """Return whatever of a ground is on this machine: after `down`, nothing."""
    found = [f"network: {name}" for name in network.leftovers()]
    found += [f"cgroup: {path}" for path in cgroups.ROOT.glob(f"*/{cgroups.GROUP}")]
    for mount in Path("/proc/self/mounts").read_text().splitlines():
        if any(word in mount for word in (str(STATE), str(cache()), "/run/netns/vc-")):
            found.append(f"mount: {mount}")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "ground.power" in line or str(STATE) in line or cgroups.GROUP in (process / "cgroup").read_text():
                found.append(f"process: {process.name} {line}")
    return found + ([f"folder: {STATE}"] if STATE.exists() else [])


def check() -> None:
    """Refuse, with the reason and the remedy, where the ground cannot run."""
    if os.geteuid() != 0:
        raise GroundError("the ground makes network namespaces and mounts: run it as root")
    if absent := packages.missing():
        raise GroundError(f"not installed: {' '.join(absent)}; `tests/ground/ground deps` installs them")
    cgroups.check()


def build() -> Path:
    """Build (or find in the cache) all that `up` needs; return the containerd store with the images."""
    check()
    bins()
    return store.store()


def up() -> None:
    """Bring the ground up, with images loaded and all nodes Ready; whatever fails, nothing is left half up."""
    check()
    if is_up():
        raise GroundError("the ground is up already (or was not taken down): `tests/ground/ground down` first")
    images = build()
    start = time.monotonic()
    try:
        _up(images, start)
    except BaseException:
        kept = cache() / "log-of-last-failure"
        shutil.rmtree(kept, ignore_errors=True)
        if (STATE / "log").exists():
            shutil.copytree(STATE / "log", kept)
            say(f"the ground did not come up; the logs are in {kept}")
        down()
        raise


def _up(images: Path, start: float) -> None:
    def lap(what: str) -> None:
        say(f"{time.monotonic() - start:5.1f} s  {what}")

    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True, mode=0o700)
    (STATE / "inotify").write_text(_INOTIFY.read_text())
    if int(_INOTIFY.read_text()) < int(_INOTIFY_INSTANCES):
        _INOTIFY.write_text(_INOTIFY_INSTANCES)
    names = [f"IP:{a}" for a in (layout.CTL_ADDRESS, layout.API_ADDRESS, controlplane.SERVICE_API, "127.0.0.1")]
    url = f"https://127.0.0.1:{layout.API_PORT}"
    pki = control_plane_pki(STATE / "pki", names=(*names, "DNS:localhost", *controlplane.API_NAMES), url=url)
    pki.kubeconfig("root", layout.API_URL, "admin")
    seed.make_identities(pki)
    lap("certificates")
    for node in NODES:
        nodes.new_disk(node, images)
    lap("disks")
    network.up()
    lap("networks")
    start_etcd()
    start_api_server()
    for node in NODES:
        nodes.power_on(node)
    lap("processes started")
    api = api_server()
    wait(api.ready, STAGE_S, f"/readyz of the API server (logs: {STATE / 'log'})")
    lap("API server ready")
    _start_controllers()
    wait(lambda: _found(api, "serviceaccount", "default"), STAGE_S, "the default ServiceAccount", every_s=0.2)
    lap("controllers work")
    for node in NODES:
        wait(lambda node=node: ready(node) or _gave_up(node), STAGE_S, f"{node} to be Ready", every_s=0.2)  # type: ignore[misc]
    lap("all nodes Ready")


def down() -> None:
    """Take everything down, whatever part of it is there; a second time it finds nothing to do."""
    # A second Ctrl-C must not stop the cleaning up after the first: it waits for this second or two
    impatience = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, impatience)
    try:
        cgroups.remove_all()  # each process that the ground ever started is in one of them
        network.down()
        if (STATE / "inotify").exists() and _INOTIFY.read_text().strip() == _INOTIFY_INSTANCES:
            _INOTIFY.write_text((STATE / "inotify").read_text())
        for node in NODES:
            nodes.wipe(node)
        shutil.rmtree(STATE, ignore_errors=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, impatience)


def api_server() -> ApiServer:
    """Return a handle on the ground's API server, for use from the root namespace."""
    if not KUBECONFIG.exists():
        raise GroundError("the ground is down: `tests/ground/ground up` brings it up")
    return ApiServer(layout.API_URL, Pki(STATE / "pki"), kubeconfig=KUBECONFIG, logs=STATE / "log")


def start_etcd() -> None:
    """Start etcd (again)."""
    # Its data on a tmpfs, which is fast, in a mount namespace of its own, so that the machine's mount table stays as it
    # was; a process that does nothing else keeps that one for an etcd that is started again
    folder = STATE / "etcd"
    folder.mkdir(exist_ok=True)
    kept = folder / "kept"
    script = 'mount -t tmpfs -o size=512m etcd "$0" && touch "$1" && exec sleep infinity'
    alone = ["unshare", "--mount", "--propagation=private", "sh", "-c", script, str(folder), str(kept)]
    daemons.start(ETCD_DISK, alone)
    mounts = Path(f"/proc/{daemons.pid(ETCD_DISK)}")
    wait((mounts / "root" / kept.relative_to("/")).exists, 10, "etcd's disk")
    etcd = controlplane.etcd(folder / "data", *_ETCD_PORTS)
    inside = ["nsenter", f"--mount={mounts / 'ns/mnt'}", "--"]
    daemons.start("etcd", [*inside, str(bins() / etcd[0]), *etcd[1:]], netns=netns("ctl"))


def start_api_server() -> None:
    """Start the API server (again)."""
    pki = Pki(STATE / "pki")
    places = {"bind": "0.0.0.0", "advertise": layout.CTL_ADDRESS}
    _start("kube-apiserver", controlplane.kube_apiserver(pki, etcd_port=_ETCD_PORTS[0], port=layout.API_PORT, **places))


def _start_controllers() -> None:
    pki = Pki(STATE / "pki")
    admin = pki.conf("admin")
    _start("kube-controller-manager", controlplane.kube_controller_manager(pki, admin, grace_s=NODE_GRACE_S))
    _start("kube-scheduler", controlplane.kube_scheduler(admin))


def renew_controllers() -> None:
    """Start those anew that are older than the API server.

    With leader election they would have ended when it went away. Without, they wait up to half a minute before they
    look again, and nobody collects what belonged to an object that is gone.
    """
    born = daemons.started_ticks("kube-apiserver")
    for name in CONTROLLERS:
        if daemons.alive(name) and daemons.started_ticks(name) < born:
            daemons.end(name)
    _start_controllers()


def revive_api_server() -> None:
    """Bring an API server back that hangs or is gone, or whose etcd hangs or is gone."""
    start_etcd()
    daemons.send("etcd", signal.SIGCONT)
    if daemons.alive("kube-apiserver"):
        daemons.send("kube-apiserver", signal.SIGCONT)
    start_api_server()


def ready(node: str) -> bool:
    """Say whether Kubernetes calls a node Ready, and means its present boot, not the one before."""
    path = '{.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}'
    with contextlib.suppress(GroundError):
        return api_server().kubectl("get", "node", node, "-o", f"jsonpath={path}") == f"{nodes.boot_id(node)} True"
    return False


def status() -> str:
    """Return a few lines on what is there, for people."""
    if not is_up():
        return "the ground is down"
    lines = [f"running: {', '.join(daemons.running())}", f"KUBECONFIG={KUBECONFIG}"]
    for node in NODES:
        on = daemons.alive(f"power-{node}")
        lines.append(f"{node}: {'on' if on else 'off'}, {'Ready' if on and ready(node) else 'not Ready'}")
    return "\n".join(lines)


def _start(name: str, command: list[str]) -> None:
    daemons.start(name, [str(bins() / command[0]), *command[1:]], netns=netns("ctl"))


def _found(api: ApiServer, kind: str, name: str) -> bool:
    with contextlib.suppress(GroundError):
        return bool(json.loads(api.kubectl("get", kind, name, "-o", "json")))
    return False


def _gave_up(node: str) -> bool:
    if daemons.alive(f"power-{node}"):
        return False
    log = daemons.log_file(f"power-{node}").read_text(errors="replace")
    raise GroundError(f"{node} ended while booting:\n{log[-2000:]}")
