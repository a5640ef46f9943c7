"""Install, upgrade, uninstall with helm on an API server of its own; and what admission says of the pods."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from chart.helm import AGENT_NAMESPACE, CHART, NAME, RELEASE_NAMESPACE, VALUES, helm, one, render
from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver
from ground.shell import GroundError, wait

pytestmark = pytest.mark.apiserver
LABEL = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    with run_apiserver(controller_manager=True) as found:
        yield found


@pytest.fixture(scope="module")
def notes(api: ApiServer) -> str:
    """What helm said at the end of the installation."""
    return release(api, "install", "--create-namespace")


def release(api: ApiServer, verb: str, *more: str) -> str:
    return helm(verb, NAME, str(CHART), f"--namespace={RELEASE_NAMESPACE}", f"--kubeconfig={api.kubeconfig}", *more)


def admit(api: ApiServer, kind: str, namespace: str) -> None:
    """Let the API server judge the pod of a Deployment or DaemonSet, without making it."""
    template = one(render(), kind)["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] = {**template["metadata"], "name": "judged", "namespace": namespace}
    account = pod["spec"]["serviceAccountName"]
    if kind == "DaemonSet" and namespace != AGENT_NAMESPACE:
        pod["spec"] = {k: v for k, v in pod["spec"].items() if k != "serviceAccountName"}
    else:
        wait(lambda: account in api.kubectl("get", "serviceaccounts", f"-n{namespace}"), 10, account)
    api.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))


def test_the_notes_next_steps_work(api: ApiServer, notes: str) -> None:
    """The commands that the notes tell, as they stand there."""
    commands = [line.strip().split() for line in notes.splitlines() if line.strip().startswith("kubectl ")]
    (label,) = (c for c in commands if "label" in c)
    api.kubectl(*label[1:])
    found = json.loads(api.kubectl("get", "namespace", RELEASE_NAMESPACE, "-o", "json"))
    key, value = LABEL.split("=")
    assert found["metadata"]["labels"][key] == value
    manifest = notes[notes.index("<<END") + len("<<END") :].split("   END\n")[0]
    indented = "\n".join(line[3:] for line in manifest.splitlines())
    api.kubectl("create", "--dry-run=server", "-f", "-", stdin=indented)
    api.kubectl(*next(c for c in commands if c[1:] == ["get", "vyosclusters"])[1:])


@pytest.mark.usefixtures("notes")
class TestPodSecurity:
    def test_the_operator_is_restricted(self, api: ApiServer) -> None:
        api.kubectl("label", "namespace", RELEASE_NAMESPACE, "--overwrite", LABEL)
        admit(api, "Deployment", RELEASE_NAMESPACE)

    def test_agents_are_admitted_in_their_namespace(self, api: ApiServer) -> None:
        admit(api, "DaemonSet", AGENT_NAMESPACE)

    def test_and_would_not_be_in_the_releases(self, api: ApiServer) -> None:
        api.kubectl("label", "namespace", RELEASE_NAMESPACE, "--overwrite", LABEL)
        with pytest.raises(GroundError, match="violates PodSecurity"):
            admit(api, "DaemonSet", RELEASE_NAMESPACE)


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("values", [(), *VALUES.values()], ids=["defaults", *VALUES])
def test_every_field_is_known_and_a_second_apply_changes_nothing(api: ApiServer, values: tuple[str, ...]) -> None:
    foreign = "monitoring.coreos.com/v1"  # (nobody here serves it)
    found = [o for o in render(*values) if o["apiVersion"] != foreign]
    whole = {"apiVersion": "v1", "kind": "List", "items": found}
    arguments = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--field-manager=helm")
    said = api.kubectl(*arguments, "--force-conflicts", "-f", "-", stdin=json.dumps(whole))
    assert len(said.splitlines()) == len(found)


@pytest.mark.usefixtures("notes")
def test_the_policy_has_no_type_error(api: ApiServer) -> None:
    def status() -> dict[str, Any]:
        found = json.loads(api.kubectl("get", "validatingadmissionpolicies", "-o", "json"))
        return found["items"][0].get("status") or {}

    # The checks of types are a controller's; this ground runs it not, so there is nothing or nothing bad.
    assert not status().get("typeChecking", {}).get("expressionWarnings")


@pytest.mark.usefixtures("notes")
def test_upgrade_uninstall_and_install_again(api: ApiServer) -> None:
    release(api, "upgrade", "--set=operator.logFormat=json")
    api.kubectl("create", "secret", "generic", "edge-psk", "--from-literal=secret=x", f"-n{RELEASE_NAMESPACE}")
    cluster = (CHART.parents[1] / "examples/seed.yaml").read_text().split("---\n")[-1]
    api.kubectl("create", "-f", "-", stdin=cluster)
    helm("uninstall", NAME, f"--namespace={RELEASE_NAMESPACE}", f"--kubeconfig={api.kubeconfig}")
    assert "edge" in api.kubectl("get", "vyosclusters")
    wait(lambda: AGENT_NAMESPACE not in api.kubectl("get", "namespaces"), 30, "the agents' namespace to go")
    release(api, "install")
    assert "edge" in api.kubectl("get", "vyosclusters")
