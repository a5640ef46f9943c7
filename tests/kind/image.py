"""A node image for kind, made without any registry: `kindest/node` as kind expects it, out of the ground's own parts.

The node's root tree is the ground's (tree.py: a Debian with systemd and containerd), with our entrypoint, units and
manifests (node/), kubeadm and Kubernetes. The images of the cluster's own pods are ONE layer with all of Kubernetes,
etcd, CoreDNS and pause in it, under the names that kubeadm asks for; the tree's own containerd imports them.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from ground.bins import COMPONENTS, KUBERNETES, bins
from ground.images import images
from ground.paths import cache, digest, locked
from ground.shell import CAGE, run, step
from ground.tree import node_tree
from kind.bins import HERE, kind_bins

_NODE = HERE / "node"
_ENABLED = ("containerd", "kubelet")
# What the pods of the control plane need nothing of: half of the tree. Each node begins with a copy of their layer.
_NOT_IN_PODS = (
    *("usr/bin/containerd*", "usr/bin/ctr", "usr/sbin/runc", "usr/sbin/sshd", "usr/bin/ssh*", "usr/bin/perl*"),
    *("usr/lib/cni", "usr/lib/systemd", "usr/lib/apt", "usr/share/*", "var/lib/*", "var/cache/*", "dev/*"),
)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# image of kubeadm's list: what it runs where its pod names no command
_ENTRYPOINTS = {"coredns": ["/usr/local/bin/coredns"], "pause": ["/usr/local/bin/pause"]}


def node_image() -> Path:
    """Return the archive of the node's root tree; it is made if it is not there (a minute or two)."""
    kubernetes, programs, tree = bins(), kind_bins(), node_tree()
    key = digest(kubernetes.name, programs.name, tree.name, _NODE, HERE / "image.py", HERE / "fill-image")
    out = cache() / "kind" / f"node-{key}.tar"
    with locked("kind-node"):
        if out.exists():
            return out
        for old in out.parent.glob("node-*.tar"):  # a gigabyte each
            old.unlink()
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".building-") as work:
            root, layer, pods = Path(work) / "root", Path(work) / "layer.tar", Path(work) / "pods.tar"
            with step("kind's node image: the root tree"):
                run("cp", "-a", str(tree), str(root))
                names = _image_names(programs / "kubeadm")
                _programs_of_pods(root, kubernetes, programs)
                without = [f"--exclude=./{pattern}" for pattern in _NOT_IN_PODS]
                run("tar", "-C", str(root), "--numeric-owner", *without, "-cf", str(layer), ".")
                _archive(pods, layer, names)
                layer.unlink()
                _finish(root, kubernetes, programs, names)
            with step("kind's node image: the images of its pods"):
                run(*CAGE, str(HERE / "fill-image"), str(root), str(pods))
            with step("kind's node image: the archive"):
                new = Path(work) / "node.tar"
                run("tar", "-C", str(root), "--numeric-owner", "--xattrs", "-cf", str(new), ".")
                new.rename(out)
    return out


def _image_names(kubeadm: Path) -> dict[str, str]:
    """Return the images that kubeadm wants, by the last part of their names."""
    listed = run(str(kubeadm), "config", "images", "list", f"--kubernetes-version={KUBERNETES}").split()
    return {name.rpartition(":")[0].rpartition("/")[2]: name for name in listed}


def _programs_of_pods(root: Path, kubernetes: Path, programs: Path) -> None:
    """Put the cluster's programs into the tree, where node and pods have them alike."""
    target = root / "usr/local/bin"
    for program in (kubernetes / "hyper", kubernetes / "etcd", programs / "coredns"):
        shutil.copy2(program, target)
    for component in COMPONENTS:
        (target / component).symlink_to("hyper")
    with tarfile.open(images() / "pause.tar") as archive:  # made for the ground's pods
        for name in json.load(_member(archive, "manifest.json"))[0]["Layers"]:
            with tarfile.open(fileobj=_member(archive, name)) as layer:
                (target / "pause").write_bytes(_member(layer, "pause").read())
    (target / "pause").chmod(0o755)


def _member(archive: tarfile.TarFile, name: str) -> io.BytesIO:
    content = archive.extractfile(name)
    assert content is not None, f"{name} is no file"
    return io.BytesIO(content.read())


def _archive(out: Path, layer: Path, names: dict[str, str]) -> None:
    """Write an archive as `docker save` does: one layer, and an image for each entrypoint."""
    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = []
    with tarfile.open(out, "w") as archive:
        archive.add(layer, "layer.tar")
        for name, image in names.items():
            config = json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Env": [_PATH], "Entrypoint": _ENTRYPOINTS.get(name)},
                    "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
                    "history": [{"created_by": name}],
                }
            ).encode()
            file_name = f"{hashlib.sha256(config).hexdigest()}.json"
            manifest.append({"Config": file_name, "RepoTags": [image], "Layers": ["layer.tar"]})
            _add(archive, file_name, config)
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _finish(root: Path, kubernetes: Path, programs: Path, names: dict[str, str]) -> None:
    """Make the tree a node of kind: our files over it, our units enabled and no others."""
    run("cp", "-rT", str(_NODE), str(root))
    for file in (root / "etc/containerd/config.toml", root / "kind/manifests/default-cni.yaml"):
        text = file.read_text().replace("@PAUSE@", names["pause"]).replace("@KUBE_PROXY@", names["kube-proxy"])
        file.write_text(text)
    (root / "kind/version").write_text(KUBERNETES)
    for component in ("kubelet", "kubectl"):  # where kind and kubeadm look
        (root / "usr/bin" / component).symlink_to("../local/bin/hyper")
    shutil.copy2(programs / "kubeadm", root / "usr/bin")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    shutil.rmtree(wants)
    wants.mkdir()
    for unit in _ENABLED:
        (wants / f"{unit}.service").symlink_to(f"../{unit}.service")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "usr/local/sbin").mkdir(exist_ok=True)
