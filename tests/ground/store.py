"""A containerd store that has the images already; each node's disk begins with a copy of it.

Three nodes that import the images at the same time need 20 s on two cores. So they are imported once, by
the nodes' own containerd, and the copies are hard links (0.3 s): containerd never changes a layer or a
blob, and overlayfs never writes to a lower layer. The databases, which containerd does change, are copied.
"""

import shutil
from pathlib import Path

from ground.images import IMAGES, images
from ground.paths import HERE, cache, digest, locked
from ground.shell import CAGE, run, step
from ground.tree import node_tree

_FILL = HERE / "image" / "fill-store"


def store() -> Path:
    """Return the common store, with the images as the sources are now; what has changed is built and imported."""
    archives, tree = images(), node_tree()
    folder = cache() / "store" / digest(tree.name, _FILL)
    incomplete = folder.with_suffix(".incomplete")
    with locked("store"):
        if all(_key(folder / f".ground-{name}") == _key(archives / f"{name}.key") for name in IMAGES):
            return folder
        if incomplete.exists():  # somebody was interrupted, and nobody knows where
            shutil.rmtree(folder)
        with step("images into a containerd store"):
            folder.mkdir(parents=True, exist_ok=True)
            incomplete.touch()
            run(*CAGE, str(_FILL), str(tree), str(folder), str(archives), str(HERE / "node"))
            incomplete.unlink()
    return folder


def copy(source: Path, target: Path) -> None:
    """Make `target`, in the cache like the store itself, a copy of the store `source`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked("store"):
        run("cp", "-al", str(source), str(target))
        for database in target.glob("io.containerd.*/*.db"):
            database.unlink()
            shutil.copy2(source / database.relative_to(target), database)


def _key(note: Path) -> str | None:
    return note.read_text().strip() if note.exists() else None
