"""The images of the ground, made without any registry and put into one archive for all nodes.

base (Debian with Python) -> operator and agent, from the project's own Dockerfiles; and pause, which each
pod needs. Buildah keeps its layers in the cache: after a change of source a build takes seconds.
"""

import json
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from ground import debian
from ground.paths import HERE, REPO, cache, digest, locked
from ground.shell import GroundError, run, step

PAUSE = "localhost/pause:1"  # as in node/etc/containerd/config.toml
BASE = "localhost/vyos-cluster-base:dev"
BUILT = {
    "localhost/vyos-cluster-operator:dev": "operator/Dockerfile",
    "localhost/vyos-cluster-agent:dev": "node-agent/Dockerfile",
}
_BASE_PACKAGES = ["python3", "python3-venv", "ca-certificates"]
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_CA_IN_BUILD = "/run/build-ca.crt"


def images() -> Path:
    """Return the folder with `images.tar` and `key` for the sources as they are now; build what changed."""
    folder = cache() / "images"
    with locked("images"):
        key = digest(str(sorted(_keys().items())))
        if not (folder / "key").exists() or (folder / "key").read_text() != key:
            for name, build in ((PAUSE, _build_pause), (BASE, _build_base)):
                if not _is_current(name):
                    with step(f"image {name}"):
                        build()
            for name, dockerfile in BUILT.items():
                if not _is_current(name):
                    with step(f"image {name}"):
                        _build(name, dockerfile)
            with step("archive of all images"):
                _archive(folder, key)
    return folder


def _keys() -> dict[str, str]:
    """Return for each image a hash of all that determines it."""
    base = digest(debian.suite(), HERE / "debian.py", *_BASE_PACKAGES)
    keys = {PAUSE: digest(HERE / "image"), BASE: base}
    for name, dockerfile in BUILT.items():
        keys[name] = digest(base, REPO / dockerfile, *copied(REPO / dockerfile))
    return keys


def copied(dockerfile: Path) -> list[Path]:
    """Return the files and folders that a Dockerfile copies from the repository."""
    if not dockerfile.exists():
        raise GroundError(f"{dockerfile} does not exist: there is nothing to build the image from")
    found: list[Path] = []
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    for line in re.findall(r"^(?:COPY|ADD)\s+(.*)$", text, re.MULTILINE | re.IGNORECASE):
        words = line.split()
        if any(word.startswith("--from") for word in words):
            continue  # from another stage, not from the repository
        for source in [word for word in words if not word.startswith("--")][:-1]:
            matches = sorted(REPO.glob(source.strip("/")))
            if not matches:
                raise GroundError(f"{dockerfile} copies {source}, which is not in the repository")
            found += matches
    return found


def _buildah(*arguments: str) -> str:
    storage = cache() / "buildah"
    # A mount namespace of its own: buildah leaves its storage mounted, and here that goes with it
    alone = ["unshare", "--mount", "--propagation=private", "--"]
    places = [f"--root={storage / 'root'}", f"--runroot={storage / 'run'}", "--storage-driver=overlay"]
    return run(*alone, "buildah", *places, *arguments)


def _is_current(name: str) -> bool:
    note = _note(name)
    return note.exists() and note.read_text() == _keys()[name]


def _note(name: str) -> Path:
    return cache() / "buildah" / f"key-{re.sub('[^a-z0-9]', '-', name)}"


def _built(name: str) -> None:
    _note(name).write_text(_keys()[name])


def _from_scratch(name: str, content: Path, target: str, *config: str) -> None:
    container = _buildah("from", "scratch").strip()
    _buildah("add", "-q", container, str(content), target)
    _buildah("config", *config, container)
    _buildah("commit", "-q", "--rm", container, name)
    _built(name)


def _build_pause() -> None:
    with tempfile.TemporaryDirectory() as work:
        program = Path(work) / "pause"
        run("gcc", "-Os", "-static", "-s", "-o", str(program), str(HERE / "image" / "pause.c"))
        _from_scratch(PAUSE, program, "/pause", "--entrypoint", '["/pause"]')


def _build_base() -> None:
    with tempfile.TemporaryDirectory(dir=cache()) as work:
        tree = Path(work) / "base.tar"
        debian.bootstrap(tree, _BASE_PACKAGES)
        _from_scratch(BASE, tree, "/", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def _build(name: str, dockerfile: str) -> None:
    key = _keys()[name]
    arguments = ["--build-arg", f"BASE_IMAGE={BASE}"]
    if _CA_BUNDLE.exists():  # the machine's own CA bundle is mounted for the build; nothing of it stays in the image
        arguments += ["--volume", f"{_CA_BUNDLE}:{_CA_IN_BUILD}:ro", "--build-arg", f"PIP_CERT={_CA_IN_BUILD}"]
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments += ["--build-arg", f"PIP_INDEX_URL={index}"]
    # chroot: no runc and no bridge needed; the machine's network and name servers serve pip
    how = ["--isolation=chroot", "--network=host", "--pull-never", "--layers"]
    _buildah("build", *how, *arguments, "-t", name, "-f", str(REPO / dockerfile), str(REPO))
    _note(name).write_text(key)  # of the sources as they were before the build


def _archive(folder: Path, key: str) -> None:
    """Write one OCI archive with all images: shared layers once, and containerd passes over those that it has."""
    work = Path(tempfile.mkdtemp(dir=cache(), prefix=".archive-"))
    try:
        for name in (PAUSE, *BUILT):
            _buildah("push", "-q", name, f"oci:{work / 'oci'}:{name}")
        index = work / "oci" / "index.json"
        content = json.loads(index.read_text())
        for manifest in content["manifests"]:  # without the second name, containerd puts a prefix before the first
            names = manifest["annotations"]
            names["io.containerd.image.name"] = names["org.opencontainers.image.ref.name"]
        index.write_text(json.dumps(content))
        folder.mkdir(exist_ok=True)
        (folder / "key").unlink(missing_ok=True)
        with tarfile.open(work / "images.tar", "w") as tar:
            for path in sorted((work / "oci").iterdir()):
                tar.add(path, arcname=path.name)
        (work / "images.tar").rename(folder / "images.tar")
        (folder / "key").write_text(key)
    finally:
        shutil.rmtree(work)
