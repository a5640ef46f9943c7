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

KUBERNETES = "v1.34.4"  # the newest; as in src/hyper/go.mod
OLDER = ("v1.31.0",)  # each by older/VERSION
CHOICE = "GROUND_KUBERNETES"  # the environment variable that chooses: 1.31, say
HELM = "v3.19.0"  # as in src/helm/go.mod
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
_VERSION = "k8s.io/component-base/version"


def version() -> str:
    """Return the version of Kubernetes that is used now; GROUND_KUBERNETES=1.31 chooses another than the newest."""
    wanted = os.environ.get(CHOICE)
    if not wanted:
        return KUBERNETES
    known = {minor(one): one for one in (KUBERNETES, *OLDER)}
    if wanted not in known:
        raise GroundError(f"{CHOICE}={wanted!r}: no such Kubernetes can be built; take one of {', '.join(known)}")
    return known[wanted]


def minor(full: str) -> str:
    """Return 1.34 for v1.34.4."""
    return full.removeprefix("v").rpartition(".")[0]


def _programs(kubernetes: str) -> dict[str, tuple[str, str, str]]:
    """Return, for each program, the Go module below src/, the package in it, and linker flags."""
    # Without these each component calls itself "v0.0.0-master+$Format:%H$": no semantic version, so that a chart's
    # kubeVersion check has nothing to parse.
    _, middle = minor(kubernetes).split(".")
    hyper_flags = (
        f"-X {_VERSION}.gitVersion={kubernetes} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor={middle} "
        f"-X {_VERSION}.gitTreeState=clean -X {_VERSION}.gitCommit={'0' * 40} "
        f"-X {_VERSION}.buildDate=2026-01-01T00:00:00Z"
    )
    return {
        "hyper": ("hyper", ".", hyper_flags),
        "etcd": ("etcd", ".", ""),
        "helm": ("helm", "helm.sh/helm/v3/cmd/helm", f"-X helm.sh/helm/v3/internal/version.version={HELM}"),
    }


def bins() -> Path:
    """Return the folder with all programs; what is missing is built first (minutes, once per change of sources)."""
    kubernetes = version()
    modules = [HERE / "src"] + ([] if kubernetes == KUBERNETES else [HERE / "older" / kubernetes])
    out = cache() / "bin" / f"{kubernetes}-{digest(*modules, str(_programs(kubernetes)))}"
    if out.exists():
        return out
    with locked("bins"):
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=out.parent, prefix=".building-") as work:
                _build(Path(work), kubernetes)
                for component in COMPONENTS:
                    (Path(work) / component).symlink_to("hyper")
                Path(work).chmod(0o755)
                Path(work).rename(out)  # whole or not at all
                Path(work).mkdir()  # (what TemporaryDirectory wants to remove)
    return out


def _build(out: Path, kubernetes: str) -> None:
    go = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin")
    if go is None:
        raise GroundError("go is not installed (1.24 or newer): the ground builds Kubernetes from its Go modules")
    say(f"building Kubernetes {kubernetes}, etcd and helm from source; the first time takes 5 to 10 minutes")
    for program, (name, package, flags) in _programs(kubernetes).items():
        module = f"older/{kubernetes}" if program == "hyper" and kubernetes != KUBERNETES else f"src/{name}"
        with step(f"go build {program}"):
            command = [go, "build", "-trimpath", f"-ldflags=-s -w {flags}".strip(), "-o", str(out / program), package]
            done = subprocess.run(command, cwd=HERE / module, stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                raise GroundError(f"go build of tests/ground/{module} failed, see above")
