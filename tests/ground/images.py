"""The images of the ground, made without any registry, and a containerd store that has them already.

base (Debian with Python) -> operator and agent, from the project's own Dockerfiles; and pause, which each
pod needs. Buildah keeps its layers in the cache: after a change of source a build takes seconds.
Each image becomes one archive; the archives are imported once, into a store of which every node gets
a copy (store.py), so that a Ready node has its images.
"""

import os
import re
import tempfile
from pathlib import Path

from ground import debian
from ground.paths import HERE, REPO, cache, digest, locked
from ground.shell import CAGE, GroundError, run, step

VERSION = next(
    line.split('"')[1]
    for line in (REPO / "crds/src/vyos_api/__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)
"""The images' tag: the chart's default, so that `helm install` needs no values here."""
BASE = f"localhost/vyos-cluster-base:{VERSION}"
# archive: image
IMAGES = {
    "pause": "localhost/pause:1",  # as in node/etc/containerd/config.toml
    "operator": f"localhost/vyos-cluster-operator:{VERSION}",
    "agent": f"localhost/vyos-cluster-agent:{VERSION}",
}
LABEL = "org.opencontainers.image"
_DOCKERFILES = {"operator": "operator/Dockerfile", "agent": "node-agent/Dockerfile"}
_BASE_PACKAGES = ["python3", "python3-venv", "ca-certificates"]
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_CA_IN_BUILD = "/run/build-ca.crt"


def images() -> Path:
    """Return the folder with NAME.tar and NAME.key of each image; what changed since the last time is built."""
    folder = cache() / "images"
    folder.mkdir(exist_ok=True)
    with locked("images"):
        for name, image in IMAGES.items():
            key, note = _key(name), folder / f"{name}.key"
            if note.exists() and note.read_text() == key:
                continue
            with step(f"image {image}"):
                if name == "pause":
                    _build_pause(image)
                else:
                    _build(image, _DOCKERFILES[name])
                note.unlink(missing_ok=True)
                _save(image, folder / f"{name}.tar")
                note.write_text(key)  # of the sources as they were before the build
    return folder


def images_of(sources: Path, tag: str) -> dict[str, Path]:
    """Build operator and agent from other sources of the project; return the archive of each image, by its name."""
    folder = cache() / f"images-{tag}"
    folder.mkdir(exist_ok=True)
    found: dict[str, Path] = {}
    with locked("images"):
        for name, dockerfile in _DOCKERFILES.items():
            image = f"{IMAGES[name].rpartition(':')[0]}:{tag}"
            found[image] = folder / f"{name}.tar"
            if not found[image].exists():
                with step(f"image {image}"):
                    _build(image, dockerfile, sources)
                    _save(image, found[image])
    return found


def _base_key() -> str:
    return digest(BASE, debian.suite(), HERE / "debian.py", *_BASE_PACKAGES)


def _key(name: str) -> str:
    """Return a hash of all that determines an image."""
    if name == "pause":
        return digest(HERE / "image")
    dockerfile = REPO / _DOCKERFILES[name]
    return digest(_base_key(), dockerfile, *copied(dockerfile))


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


def labels(repository: Path = REPO) -> list[str]:
    """Return the labels that no Dockerfile can know: the commit, if the sources are just that."""
    git = ("git", "-C", str(repository))
    try:
        commit = run(*git, "rev-parse", "HEAD").strip()
        changed = run(*git, "status", "--porcelain")
    except GroundError:
        return []  # from an archive of the sources
    return [] if changed else [f"{LABEL}.revision={commit}"]


def _buildah(*arguments: str) -> str:
    storage = cache() / "buildah"
    places = [f"--root={storage / 'root'}", f"--runroot={storage / 'run'}", "--storage-driver=overlay"]
    return run(*CAGE, "buildah", *places, *arguments)


def _from_scratch(image: str, content: Path, target: str, *config: str) -> None:
    container = _buildah("from", "scratch").strip()
    _buildah("add", "-q", container, str(content), target)
    _buildah("config", *config, container)
    _buildah("commit", "-q", "--rm", container, image)


def _build_pause(image: str) -> None:
    with tempfile.TemporaryDirectory() as work:
        program = Path(work) / "pause"
        run("gcc", "-Os", "-static", "-s", "-o", str(program), str(HERE / "image" / "pause.c"))
        _from_scratch(image, program, "/pause", "--entrypoint", '["/pause"]')


def _ensure_base() -> None:
    note = cache() / "buildah" / "base.key"
    if note.exists() and note.read_text() == _base_key():
        return
    with step(f"image {BASE} (mmdebstrap)"), tempfile.TemporaryDirectory(dir=cache()) as work:
        tree = Path(work) / "base.tar"
        debian.bootstrap(tree, _BASE_PACKAGES)
        _from_scratch(BASE, tree, "/", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    note.write_text(_base_key())


def _build(image: str, dockerfile: str, sources: Path = REPO) -> None:
    _ensure_base()
    arguments = ["--build-arg", f"BASE_IMAGE={BASE}"]
    if _CA_BUNDLE.exists():  # the machine's own CA bundle is mounted for the build; nothing of it stays in the image
        arguments += ["--volume", f"{_CA_BUNDLE}:{_CA_IN_BUILD}:ro", "--build-arg", f"PIP_CERT={_CA_IN_BUILD}"]
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments += ["--build-arg", f"PIP_INDEX_URL={index}"]
    arguments += [word for label in labels(sources) for word in ("--label", label)]
    # chroot: no runc and no bridge needed; the machine's network and name servers serve pip
    how = ["--isolation=chroot", "--network=host", "--pull-never", "--layers"]
    _buildah("build", *how, *arguments, "-t", image, "-f", str(sources / dockerfile), str(sources))


def _save(image: str, archive: Path) -> None:
    new = archive.with_suffix(".new")
    new.unlink(missing_ok=True)  # buildah adds to no archive that is there
    _buildah("push", "-q", image, f"docker-archive:{new}:{image}")
    new.rename(archive)
