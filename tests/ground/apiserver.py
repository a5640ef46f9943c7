"""A bare API server for tests of CRDs, policies, operator and sync: etcd and kube-apiserver on loopback.

It is a real API server in all that a test can ask of it: CEL, admission policies, RBAC, ServiceAccount
tokens, server-side apply, watches. Nothing schedules or runs pods; with `controller_manager` owner
references are garbage-collected and namespaces get deleted (without it, they stay `Terminating`).

    with apiserver() as api:
        api.kubectl("apply", "-f", "crds/vyosclusters.cluster.vyos.io.yaml")
        client = lightkube.Client(lightkube.KubeConfig.from_file(api.kubeconfig))
"""

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ground import controlplane
from ground.bins import bins
from ground.pki import Pki, control_plane_pki
from ground.shell import GroundError, run, wait

READY_S = 30.0  # it takes 3 to 5 s; a busy machine is given time
# What tests of owner references and namespaces need; all controllers would cost 100 MB more
_CONTROLLERS = "garbage-collector-controller,namespace-controller,serviceaccount-controller"


class ApiServer:
    """A running API server: `url`, `kubeconfig` (admin), `logs` (a folder) and ways in for others than the admin."""

    def __init__(self, url: str, pki: Pki, *, kubeconfig: Path, logs: Path) -> None:
        self.url = url
        self.kubeconfig = kubeconfig
        self.logs = logs
        self.ca_file = pki.crt("ca")
        self._pki = pki
        tls = ssl.create_default_context(cafile=str(self.ca_file))
        tls.load_cert_chain(pki.crt("admin"), pki.key("admin"))
        # straight to the server, whatever proxy this machine uses for the outer world
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=tls), urllib.request.ProxyHandler({})
        )

    def kubectl(
        self, *arguments: str, stdin: str | None = None, kubeconfig: Path | None = None, timeout_s: float = 60
    ) -> str:
        """Run kubectl as the admin, or as `kubeconfig` says; return what it printed, raise GroundError if it failed."""
        program = str(bins() / "kubectl")
        env = {**os.environ, "NO_PROXY": "*"}
        config = f"--kubeconfig={kubeconfig or self.kubeconfig}"
        return run(program, config, *arguments, stdin=stdin, env=env, timeout_s=timeout_s)

    def kubeconfig_as(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig that logs in as `user` by certificate: what RBAC gives it, it may."""
        name = "user-" + "".join(c if c.isalnum() else "-" for c in f"{user}-{'-'.join(groups)}")
        if not self._pki.conf(name).exists():
            self._pki.client(name, user, *groups)
            self._pki.kubeconfig(name, self.url, name)
        return self._pki.conf(name)

    def kubeconfig_with_token(self, token: str) -> Path:
        """Return a kubeconfig that logs in with a token, such as `kubectl create token` prints."""
        handle, path = tempfile.mkstemp(dir=self._pki.folder, prefix="token-", suffix=".conf")
        login = "client-certificate: admin.crt, client-key: admin.key"
        with os.fdopen(handle, "w") as file:
            file.write(self.kubeconfig.read_text().replace(login, f"token: {token}"))
        return Path(path)

    def ready(self) -> bool:
        """Say whether /readyz answers ok."""
        try:
            with self._opener.open(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@contextmanager
def apiserver(*, controller_manager: bool = False, arguments: Sequence[str] = ()) -> Iterator[ApiServer]:
    """Run an API server (and on request a controller manager) for the length of a `with`; it leaves nothing behind."""
    programs = bins()
    folder = Path(tempfile.mkdtemp(prefix="vyos-cluster-apiserver-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        (folder / "log").mkdir()
        etcd_port, peer_port, port = _free_ports(3)
        names = ("IP:127.0.0.1", f"IP:{controlplane.SERVICE_API}", "DNS:localhost", *controlplane.API_NAMES)
        pki = control_plane_pki(folder / "pki", names=names, url=f"https://127.0.0.1:{port}")
        api = ApiServer(f"https://127.0.0.1:{port}", pki, kubeconfig=pki.conf("admin"), logs=folder / "log")

        def start(command: list[str]) -> None:
            with open(api.logs / f"{command[0]}.log", "wb") as log:
                # pdeathsig: should this Python be killed, nothing of ours lives on
                guarded = ["setpriv", "--pdeathsig=KILL", "--", str(programs / command[0]), *command[1:]]
                processes.append(subprocess.Popen(guarded, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

        start(controlplane.etcd(folder / "etcd", etcd_port, peer_port))
        bind = controlplane.kube_apiserver(pki, etcd_port=etcd_port, bind="127.0.0.1", port=port, advertise="127.0.0.1")
        start([*bind, *arguments])
        _wait_ready(api, processes)
        if controller_manager:
            start(controlplane.kube_controller_manager(pki, api.kubeconfig, controllers=_CONTROLLERS))
            wait(lambda: _controllers_work(api), READY_S, f"the default ServiceAccount; logs were in {api.logs}")
        yield api
    finally:
        for process in reversed(processes):
            process.kill()  # not TERM: the API server would wait a minute for its watches to end
        for process in processes:
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _controllers_work(api: ApiServer) -> bool:
    """Say whether the controllers have begun their work."""
    try:
        return "default" in api.kubectl("get", "serviceaccount", "default", "-o", "name")
    except GroundError:
        return False


def _wait_ready(api: ApiServer, processes: list[subprocess.Popen[bytes]]) -> None:
    def ready_or_dead() -> bool:
        return api.ready() or any(process.poll() is not None for process in processes)

    try:
        wait(ready_or_dead, READY_S, "/readyz of the API server")
        if any(process.poll() is not None for process in processes):
            raise GroundError("etcd or kube-apiserver ended at once")
    except GroundError as error:
        tails = "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in api.logs.iterdir())
        raise GroundError(f"{error}\n{tails}") from None


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
