"""A kind cluster with the project's images: on the machine's own Docker if there is one, else on ours (daemon.py)."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import yaml

from ground import cgroups, packages
from ground.api import Ground
from ground.images import VERSION, images
from ground.paths import REPO, cache
from ground.shell import GroundError, quiet, run, step, wait
from kind import daemon
from product import Product

T = TypeVar("T")
NAME = "vyos-cluster"
"""Not kind's default name: somebody's own cluster may be called so."""
READY_S = 180
"""More than nodes need from kubeadm's end to Ready: their first images are there."""
CONFIG = REPO / "kind-config.yaml"
EXAMPLE = REPO / "examples/demo.yaml"
_BASE = "python:3.11-slim-bookworm"
_DOCKERFILES = {"operator": "operator/Dockerfile", "agent": "node-agent/Dockerfile"}
_HINTS = {
    "kind": "go install sigs.k8s.io/kind@v0.30.0",
    "kubectl": "see kubernetes.io/docs/tasks/tools",
    "helm": "see helm.sh/docs/intro/install",
}


def has_docker() -> bool:
    """Say whether this machine's own Docker is to be used: it answers, and VYOS_CLUSTER_KIND does not say `own`."""
    chosen = os.environ.get("VYOS_CLUSTER_KIND", "auto")
    if chosen not in ("auto", "docker", "own"):
        raise GroundError(f"VYOS_CLUSTER_KIND is {chosen!r}; it may be auto (also if not set), docker or own")
    answers = chosen != "own" and shutil.which("docker") is not None and quiet("docker", "version")
    if chosen == "docker" and not answers:
        raise GroundError("VYOS_CLUSTER_KIND is docker, but `docker version` fails: start Docker, or leave it out")
    return answers


class Kind:
    """A running cluster. Its first two nodes are the members, the last one has control plane and operator."""

    nodes = (f"{NAME}-worker", f"{NAME}-worker2", f"{NAME}-control-plane")

    def __init__(self, *, own: bool) -> None:
        self.own = own

    def run(self, *command: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run a command where the cluster is, and return what it printed."""
        if self.own:
            return run(*daemon.inside(), *command, stdin=stdin, timeout_s=timeout_s, env=daemon.environment())
        env = {**os.environ, "KUBECONFIG": str(cache() / "kind" / "kubeconfig")}
        return run(*command, stdin=stdin, timeout_s=timeout_s, env=env)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl as the admin and return what it printed."""
        return self.run("kubectl", *arguments, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> Any:
        """Run `kubectl get ... -o json` and return the object."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def helm(self, *arguments: str, timeout_s: float = 180) -> str:
        """Run helm and return what it printed."""
        return self.run("helm", *arguments, timeout_s=timeout_s)

    def wait(self, condition: Callable[[], T | None], timeout_s: float, what: str) -> T:
        """Ask until the answer is truthy and return it."""
        return wait(condition, timeout_s, what, every_s=0.5)

    def product(self) -> Product:
        """The release on this cluster; it asks of a ground only what is above."""
        return Product(cast(Ground, self))

    def install(self) -> Product:
        """Install the chart, the operator beside the control plane: away from the nodes that are stopped."""
        product = self.product()
        product.install('--set-json=operator.tolerations=[{"operator": "Exists"}]')
        return product

    def address(self) -> str:
        """An address of Docker's network, far from those that Docker gives: ADDRESS/PREFIX/INTERFACE."""
        (network,) = json.loads(self.run("docker", "network", "inspect", "kind"))
        subnets = [ipaddress.ip_network(config["Subnet"]) for config in network["IPAM"]["Config"]]
        subnet = next(subnet for subnet in subnets if subnet.version == 4)
        return f"{subnet.broadcast_address - 55}/{subnet.prefixlen}/eth0"

    def example(self) -> str:
        """The demo's example with this cluster's nodes, and an address of its network."""
        documents = list(yaml.safe_load_all(EXAMPLE.read_text()))
        (group,) = documents[1]["spec"]["groups"]
        group.update(primary=self.nodes[0], secondaries=[self.nodes[1]], services=[self.address()])
        return yaml.safe_dump_all(documents, sort_keys=False)

    def holders(self, address: str) -> set[str]:
        """The nodes whose kernels hold an address; a stopped one holds none."""
        running = self.run("docker", "ps", "--format", "{{.Names}}").split()
        return {
            node
            for node in self.nodes
            if node in running and f" {address}/" in self.run("docker", "exec", node, "ip", "-o", "address")
        }

    def wait_holder(self, address: str, *, other_than: str = "", timeout_s: float = 60) -> str:
        """Wait until one node alone (other than a given one) holds an address."""

        def one() -> set[str] | None:
            held = self.holders(address) - {other_than}
            return held if len(held) == 1 else None

        return next(iter(self.wait(one, timeout_s, f"one holder of {address}")))

    def answers(self, address: str) -> bool:
        """Say whether the address answers a ping from outside the cluster, on Docker's bridge."""
        try:
            self.run("ping", "-c", "1", "-W", "1", address, timeout_s=10)
        except GroundError:
            return False
        return True

    def create(self) -> None:
        """Make the cluster of kind-config.yaml, and load the project's images."""
        image = ["--image", daemon.IMAGE] if self.own else []  # kind's default can only come from a registry
        with step("kind create cluster --config kind-config.yaml"):
            create = ("kind", "create", "cluster", "--name", NAME, "--config", str(CONFIG), *image)
            self.run(*create, timeout_s=900)
            self.wait_nodes()
        for part, dockerfile in _DOCKERFILES.items():
            if self.own:
                archive = str(images() / f"{part}.tar")
                # the operator runs beside the control plane; agents everywhere
                where = ["--nodes", self.nodes[-1]] if part == "operator" else []
                with step(f"kind load image-archive {part}.tar"):
                    self.run("kind", "load", "image-archive", "--name", NAME, archive, *where, timeout_s=600)
                continue
            tag = f"localhost/vyos-cluster-{part}:{VERSION}"
            with step(f"docker build and kind load docker-image {tag}"):
                base = f"BASE_IMAGE={os.environ.get('VYOS_CLUSTER_BASE_IMAGE', _BASE)}"
                build = ("docker", "build", "-q", "-f", str(REPO / dockerfile), "--build-arg", base, "-t", tag)
                self.run(*build, str(REPO), timeout_s=900)
                self.run("kind", "load", "docker-image", "--name", NAME, tag, timeout_s=600)

    def wait_nodes(self) -> None:
        """Wait until all nodes are Ready: kind's own --wait asks the control plane's alone, and only warns."""
        try:
            ready = ("wait", "--for=condition=Ready", "nodes", "--all", f"--timeout={READY_S}s")
            self.kubectl(*ready, timeout_s=READY_S + 30)
        except GroundError as error:
            raise GroundError(f"{error}\n{self.kubectl('get', 'nodes,pods', '-A', '-owide')}") from None

    def delete(self) -> None:
        """Delete the cluster, if there is one."""
        self.run("kind", "delete", "cluster", "--name", NAME, timeout_s=120)


def ready() -> Kind:
    """Find out where kind can run here, with what is missing as an error, and take away what was left over."""
    if has_docker():
        for program, hint in _HINTS.items():
            if shutil.which(program) is None:
                raise GroundError(f"{program} is not installed: {hint}")
        (cache() / "kind").mkdir(exist_ok=True)
        kind = Kind(own=False)
        kind.delete()
        return kind
    if os.geteuid() != 0:
        raise GroundError("no Docker answers here, and one of our own needs root: start Docker, or run this as root")
    try:
        cgroups.check()
    except GroundError:
        raise GroundError("no Docker answers here, and one of our own needs cgroup v1, not v2: start Docker") from None
    packages.install()
    images()
    daemon.up()
    return Kind(own=True)


@contextmanager
def running() -> Iterator[Kind]:
    """A cluster for the length of a `with`; nothing of it is left, whatever happens."""
    try:
        kind = ready()
        kind.create()
        yield kind
    finally:
        with step("taking the cluster down"):
            down()


def down() -> None:
    """Take down what runs here of a demo or a test; nothing happens where nothing runs."""
    if has_docker() and shutil.which("kind"):
        Kind(own=False).delete()
    if os.geteuid() == 0:
        daemon.down()  # a power cut: quicker than asking kind
