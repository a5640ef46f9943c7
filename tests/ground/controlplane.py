"""The command lines of the control plane's programs: one place, used by the ground and by a bare API server alike."""

from pathlib import Path

from ground.pki import Pki

SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_API = "10.96.0.1"  # its first address: the Service `kubernetes`
API_NAMES = tuple("DNS:kubernetes" + tail for tail in ("", ".default", ".default.svc", ".default.svc.cluster.local"))


def etcd(data: Path, client_port: int, peer_port: int) -> list[str]:
    """Return etcd's command line; it serves on loopback only."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return [
        "etcd", "--name=ground", f"--data-dir={data}", "--log-level=warn",
        "--unsafe-no-fsync",  # nobody needs these data after a power cut
        f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=ground={peer}",
    ]  # fmt: skip


def kube_apiserver(pki: Pki, *, etcd_port: int, bind: str, port: int, advertise: str) -> list[str]:
    """Return the API server's command line: RBAC, default admission plugins (policies included) and ServiceAccounts."""
    return [
        "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        f"--bind-address={bind}", f"--secure-port={port}", f"--advertise-address={advertise}",
        f"--tls-cert-file={pki.crt('apiserver')}", f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.crt('ca')}",
        # for kubectl logs and exec: the API server is a client of the kubelet
        f"--kubelet-client-certificate={pki.crt('apiserver-kubelet-client')}",
        f"--kubelet-client-key={pki.key('apiserver-kubelet-client')}",
        f"--kubelet-certificate-authority={pki.crt('ca')}", "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={pki.key('sa')}",
        f"--service-account-key-file={pki.folder / 'sa.pub'}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}", "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
        # the CA signs for the front proxy too: tell it apart by its name
        f"--requestheader-client-ca-file={pki.crt('ca')}", "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki.crt('front-proxy-client')}",
        f"--proxy-client-key-file={pki.key('front-proxy-client')}",
        "--profiling=false",
    ]  # fmt: skip


def kube_controller_manager(pki: Pki, conf: Path, *, controllers: str = "*", grace_s: int = 50) -> list[str]:
    """Return the controller manager's command line. Start it after /readyz: before RBAC is there, it exits."""
    return [
        "kube-controller-manager", f"--kubeconfig={conf}", f"--controllers={controllers}",
        "--secure-port=0", "--profiling=false", "--allocate-node-cidrs=false",
        "--leader-elect=false",  # one only; and with election it would exit whenever the API server is away
        f"--node-monitor-grace-period={grace_s}s",  # a node silent for so long is NotReady
        # All controllers under one identity: a token for each costs 6 s at start
        "--use-service-account-credentials=false",
        f"--service-account-private-key-file={pki.key('sa')}", f"--root-ca-file={pki.crt('ca')}",
        f"--cluster-signing-cert-file={pki.crt('ca')}", f"--cluster-signing-key-file={pki.key('ca')}",
    ]  # fmt: skip


def kube_scheduler(conf: Path) -> list[str]:
    """Return the scheduler's command line. Start it after /readyz, like the controller manager."""
    return ["kube-scheduler", f"--kubeconfig={conf}", "--secure-port=0", "--profiling=false", "--leader-elect=false"]
