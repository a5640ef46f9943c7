"""kind, kubeadm and CoreDNS, built from Go modules that go.mod and go.sum pin; the rest is the ground's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ground.bins import KUBERNETES
from ground.paths import cache, digest, locked
from ground.shell import GroundError, say, step

HERE = Path(__file__).resolve().parent
_VERSION = "k8s.io/component-base/version"
# kubeadm refuses a control plane that is newer than itself, so it has to know its version
_KUBEADM_FLAGS = (
    f"-X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34 "
    f"-X {_VERSION}.gitTreeState=clean"
)
# program: (package in the module of the same name under src/, linker flags)
PROGRAMS = {
    "kind": ("sigs.k8s.io/kind", ""),
    "kubeadm": ("k8s.io/kubernetes/cmd/kubeadm", _KUBEADM_FLAGS),
    "coredns": (".", ""),
}


def kind_bins() -> Path:
    """Return the folder with the programs; what is missing is built first (3 to 10 minutes, once)."""
    out = cache() / "kind" / f"bin-{digest(HERE / 'src', str(PROGRAMS))}"
    with locked("kind-bins"):
        if not out.exists():
            go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
            if go is None:
                raise GroundError("go is not installed (1.24 or newer): kind and kubeadm are built from Go modules")
            say("building kind, kubeadm and CoreDNS from source; the first time takes 3 to 10 minutes on two cores")
            out.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=".building-") as work:
                _build(go, Path(work) / "bin")
                (Path(work) / "bin").rename(out)  # whole or not at all
    return out


def _build(go: str, out: Path) -> None:
    env = {**os.environ, "CGO_ENABLED": "0"}  # they run in trees that have not this machine's libraries
    for program, (package, flags) in PROGRAMS.items():
        with step(f"go build {program}"):
            command = [go, "build", "-trimpath", f"-ldflags=-s -w {flags}".strip(), "-o", str(out / program), package]
            done = subprocess.run(command, cwd=HERE / "src" / program, stdin=subprocess.DEVNULL, env=env)
            if done.returncode != 0:
                raise GroundError(f"go build of tests/kind/src/{program} failed, see above")
