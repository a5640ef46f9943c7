"""What makes a node this node: its names, certificates and settings, copied over its root at each boot.

What is the same on all nodes lies in node/ as plain files (units, configuration of containerd and
kubelet); @NODE@ and the like in them are filled in here.
"""

import hashlib
import shutil
from pathlib import Path

from ground import layout
from ground.layout import NODES
from ground.paths import HERE, STATE
from ground.pki import Pki
from ground.shell import run

SSH_KEY = STATE / "ssh-key"
_API_URL = f"https://{layout.CTL_ADDRESS}:{layout.API_PORT}"


def make_identities(pki: Pki) -> None:
    """Make what the nodes need to log in at the API server and to be logged in to, once for all nodes."""
    pki.client("kube-proxy", "system:kube-proxy")
    pki.kubeconfig("kube-proxy", _API_URL, "kube-proxy")
    for node in NODES:
        pki.client(node, f"system:node:{node}", "system:nodes")
        pki.kubeconfig(node, _API_URL, node)
        pki.server(f"{node}-serving", f"/CN={node}", f"DNS:{node}", f"IP:{layout.address(node)}")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ground", "-f", str(SSH_KEY))


def write(node: str, folder: Path) -> None:
    """Write the folder anew: the common files, and those of this node."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE / "node", folder)
    values = {"NODE": node, "POD_NETWORK": layout.pod_network(node), "ALL_PODS": layout.POD_NETWORK}
    for name in ("etc/cni/net.d/10-ground.conflist", "etc/kubernetes/kube-proxy.yaml"):
        text = (folder / name).read_text()
        for word, value in values.items():
            text = text.replace(f"@{word}@", value)
        (folder / name).write_text(text)
    address = layout.address(node)
    machine_id = hashlib.md5(f"ground-{node}".encode(), usedforsecurity=False).hexdigest()
    _write(folder / "etc/hostname", f"{node}\n")
    _write(folder / "etc/machine-id", f"{machine_id}\n")
    _write(folder / "etc/hosts", f"127.0.0.1 localhost\n{address} {node}\n")
    _write(folder / "etc/default/ground", f"NODE={node}\nNODE_IP={address}\n")
    _write(folder / "root/.ssh/authorized_keys", SSH_KEY.with_suffix(".pub").read_text())
    for secret in (folder / "root", folder / "root/.ssh"):
        secret.chmod(0o700)
    # its own keys only: a node can no more log in as another than a real one
    kubernetes = folder / "etc/kubernetes"
    for name in ("ca.crt", "kube-proxy.conf", "kube-proxy.crt", "kube-proxy.key", f"{node}.crt", f"{node}.key"):
        _write(kubernetes / name, (STATE / "pki" / name).read_text())
    _write(kubernetes / "kubelet.conf", (STATE / "pki" / f"{node}.conf").read_text())
    for kind in ("crt", "key"):
        _write(kubernetes / f"kubelet-serving.{kind}", (STATE / "pki" / f"{node}-serving.{kind}").read_text())


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    if file.suffix == ".key":
        file.chmod(0o600)
