"""What `tests/ground/ground` does."""

import inspect
import subprocess
import sys
import time
from collections.abc import Callable

from ground import lifecycle, network, nodes, packages
from ground.api import environment
from ground.bins import bins
from ground.faults import Faults
from ground.images import images
from ground.layout import netns
from ground.probe import Probe
from ground.shell import GroundError, exit_code, say, step

USAGE = """usage: ground COMMAND

  deps                     install the Debian packages that are missing on this machine
  bins                     build Kubernetes, etcd and helm (once; 5 to 10 minutes)
  images                   build the images whose sources have changed
  build                    all of it: bins, images, root tree of the nodes
  up                       three routers, a control plane and a client, Ready with images loaded
  down                     take it all down, whatever is left of it
  status                   what is there
  load                     build changed images and load them into the running nodes
  kubectl ... | helm ...   against the ground's API server
  exec NODE COMMAND ...    run a command on a node
  ssh NODE [COMMAND ...]   log in to a node from the client's network
  client COMMAND ...       run a command in the client's network
  probe ADDRESS SECONDS    ping an address from the client every 10 ms, say what was lost
  journal NODE [UNIT]      a node's journal
  env                      lines for a shell: eval "$(tests/ground/ground env)"
  fault [NAME ...]         break something; without a name, list the faults"""


INSTALL = (
    "tests/ground/ground helm install vyos-cluster charts/vyos-cluster --namespace vyos-cluster --create-namespace"
)
"""The images of these sources are loaded under the chart's default names."""


def main(arguments: list[str]) -> int:
    """Run one command; return the exit code."""
    return exit_code("ground", lambda: _run(arguments), "interrupted")  # `up` takes down what it began


def _run(arguments: list[str]) -> int | None:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command in _WITH_ARGUMENTS:
        return _WITH_ARGUMENTS[command](rest)
    if command not in _SIMPLE:
        print(f"ground: there is no command {command!r}\n\n{USAGE}", file=sys.stderr)
        return 2
    if rest:
        raise GroundError(f"`ground {command}` takes no arguments")
    _SIMPLE[command]()
    return None


def _up() -> None:
    lifecycle.up()
    print(f"export KUBECONFIG={lifecycle.KUBECONFIG}")
    say(f"install the product: {INSTALL}")


def _down() -> None:
    if lifecycle.is_up():
        with step("taking the ground down"):
            lifecycle.down()
    else:
        lifecycle.down()  # files of an `up` that never came far
        say("the ground is down")


def _load() -> None:
    with step("loading images"):
        nodes.load_images()


def _environment() -> None:
    print(f"export KUBECONFIG={lifecycle.KUBECONFIG} PATH={bins()}:$PATH")


def _call(command: list[str], env: dict[str, str] | None = None) -> int:
    return subprocess.run(command, env=env).returncode


def _client_tool(name: str) -> Callable[[list[str]], int]:
    def call(arguments: list[str]) -> int:
        lifecycle.api_server()  # says so if the ground is down
        return _call([str(bins() / name), *arguments], environment())

    return call


def _exec(arguments: list[str]) -> int:
    node, *command = _need(arguments, 2, "NODE COMMAND ...")
    return _call(nodes.command(node, *command))


def _ssh(arguments: list[str]) -> int:
    node, *command = _need(arguments, 1, "NODE [COMMAND ...]")
    return _call(nodes.ssh(node, *command))


def _client(arguments: list[str]) -> int:
    return _call(network.inside(netns("client"), *_need(arguments, 1, "COMMAND ...")))


def _journal(arguments: list[str]) -> int:
    node, *unit = _need(arguments, 1, "NODE [UNIT]")
    return _call(nodes.command(node, "journalctl", "--no-pager", *(["-u", unit[0]] if unit else [])))


def _probe(arguments: list[str]) -> int:
    address, seconds = _need(arguments, 2, "ADDRESS SECONDS")[:2]
    with Probe(address) as probe:
        time.sleep(float(seconds))
    print(probe)
    return 0


def _fault(arguments: list[str]) -> int:
    if not arguments:
        for name, method in inspect.getmembers(Faults, inspect.isfunction):
            words = [_usage_of(parameter) for parameter in list(inspect.signature(method).parameters.values())[1:]]
            print(f"  {' '.join([name.replace('_', '-'), *words]):40} {inspect.getdoc(method)}")
        return 0
    break_it = getattr(Faults(), arguments[0].replace("-", "_"), None)
    if break_it is None or arguments[0].startswith("_"):
        raise GroundError(f"there is no fault {arguments[0]!r}; `ground fault` lists them")
    try:
        inspect.signature(break_it).bind(*arguments[1:])
    except TypeError as error:
        raise GroundError(f"fault {arguments[0]}: {error}; `ground fault` lists what it takes") from None
    break_it(*arguments[1:])
    return 0


def _usage_of(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"{parameter.name.upper()} ..."
    return parameter.name.upper() if parameter.default is parameter.empty else f"[{parameter.name.upper()}]"


def _need(arguments: list[str], count: int, usage: str) -> list[str]:
    if len(arguments) < count:
        raise GroundError(f"what is missing: {usage}")
    return arguments


_SIMPLE: dict[str, Callable[[], object]] = {
    "deps": packages.install,
    "bins": bins,
    "images": images,
    "build": lifecycle.build,
    "up": _up,
    "down": _down,
    "load": _load,
    "status": lambda: print(lifecycle.status()),
    "env": _environment,
}
_WITH_ARGUMENTS: dict[str, Callable[[list[str]], int]] = {
    "kubectl": _client_tool("kubectl"),
    "helm": _client_tool("helm"),
    "exec": _exec,
    "ssh": _ssh,
    "client": _client,
    "probe": _probe,
    "journal": _journal,
    "fault": _fault,
}
