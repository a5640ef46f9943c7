"""The programs of Kubernetes, etcd and helm, built from Go modules that go.mod and go.sum pin.

`src/hyper` is one program with all Kubernetes components in it; the name it is called by chooses
(one link of 170 MB instead of six, and all share their text in memory).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ground.paths import HERE, cache, digest, locked
from ground.shell import GroundError, say, step

KUBERNETES = "v1.34.4"  # as in src/hyper/go.mod
HELM = "v3.19.0"  # as in src/helm/go.mod
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
_VERSION = "k8s.io/component-base/version"
# Without these each component calls itself "v0.0.0-master+$Format:%H$": no semantic version, so that a chart's
# kubeVersion check has nothing to parse.
_HYPER_FLAGS = (
    f"-X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34 "
    f"-X {_VERSION}.gitTreeState=clean -X {_VERSION}.gitCommit={'0' * 40} -X {_VERSION}.buildDate=2026-01-01T00:00:00Z"
)
# program: (Go module under src/, package in it, linker flags)
PROGRAMS = {
    "hyper": ("hyper", ".", _HYPER_FLAGS),
    "etcd": ("etcd", ".", ""),
    "helm": ("helm", "helm.sh/helm/v3/cmd/helm", f"-X helm.sh/helm/v3/internal/version.version={HELM}"),
}


def bins() -> Path:
    """Return the folder with all programs; what is missing is built first (minutes, once per change of sources)."""
    out = cache() / "bin" / f"{KUBERNETES}-{digest(HERE / 'src', str(PROGRAMS))}"
    if out.exists():
        return out
    with locked("bins"):
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=".building-") as work:
                _build(Path(work))
                for component in COMPONENTS:
                    (Path(work) / component).symlink_to("hyper")
                Path(work).chmod(0o755)
                Path(work).rename(out)  # whole or not at all
                Path(work).mkdir()  # (what TemporaryDirectory wants to remove)
    return out


def _build(out: Path) -> None:
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if go is None:
        raise GroundError("go is not installed (1.24 or newer): the ground builds Kubernetes from its Go modules")
    say("building Kubernetes, etcd and helm from source; the first time takes 5 to 10 minutes on two cores")
    for program, (module, package, flags) in PROGRAMS.items():
        with step(f"go build {program}"):
            command = [go, "build", "-trimpath", f"-ldflags=-s -w {flags}".strip(), "-o", str(out / program), package]
            done = subprocess.run(command, cwd=HERE / "src" / module, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                raise GroundError(f"go build of tests/ground/src/{module} failed, see above")
