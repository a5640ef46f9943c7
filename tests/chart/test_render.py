"""What the chart renders: one snapshot of the defaults, and the properties that matter one by one."""

import difflib
import os
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

import vyos_operator.settings
from chart.helm import AGENT_NAMESPACE, CHART, CRD, RELEASE_NAMESPACE, VALUES, helm, one, render, template
from ground.bins import KUBERNETES
from ground.shell import GroundError
from scale.__main__ import MALLOC
from vyos_agent import heartbeat
from vyos_agent.sync import entries
from vyos_agent.sync import settings as sync_settings
from vyos_operator import kinds, presence

pytestmark = pytest.mark.apiserver  # helm is built together with the API server
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return render()


@pytest.fixture(scope="module")
def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {o["kind"]: o["spec"]["template"]["spec"] for o in objects if o["kind"] in ("Deployment", "DaemonSet")}


@pytest.fixture(scope="module")
def containers(pods: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {c["name"]: c for p in pods.values() for c in p["containers"]}


def golden(name: str, found: str) -> None:
    """What is rendered is what was. Regenerate with UPDATE_GOLDEN=1, and explain the difference."""
    path = HERE / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text()


@pytest.mark.parametrize("values", [(), *VALUES.values()], ids=["defaults", *VALUES])
def test_lint(values: tuple[str, ...]) -> None:
    helm("lint", "--strict", f"--kube-version={KUBERNETES}", str(CHART), *values)


def test_defaults_are_as_they_were() -> None:
    """A change here is a change for everybody."""
    golden("defaults.yaml", template("--set=crds.enabled=false"))


@pytest.mark.parametrize("name", VALUES)
def test_what_values_change_is_as_it_was(name: str) -> None:
    """Told as the difference from the defaults; files that are taken as they are, by their names."""
    before, after = (template("--set=crds.enabled=false", *values) for values in ((), VALUES[name]))
    for file, indent in (("dashboard.json", 4), ("rules.yaml", 2)):
        taken = textwrap.indent((CHART / file).read_text(), " " * indent)
        after = after.replace(taken, f"{' ' * indent}({file})\n")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "defaults", name, n=1, lineterm="")
    golden(f"{name}.diff", "\n".join([*lines, ""]))


def test_common_labels_are_everywhere() -> None:
    for found in render("--set=commonLabels.team=edge", *VALUES["full"]):
        assert found["metadata"]["labels"]["team"] == "edge", found["metadata"]["name"]


def test_kubernetes_before_1_31_is_refused() -> None:
    with pytest.raises(GroundError, match=r"requires kubeVersion: >=1\.31\.0-0"):
        template("--kube-version=v1.30.9")


class TestCrd:
    def test_is_the_generated_one(self, objects: list[dict[str, Any]]) -> None:
        rendered = one(objects, "CustomResourceDefinition")
        assert rendered["spec"] == yaml.safe_load(CRD.read_text())["spec"]
        assert rendered["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}

    def test_may_go_with_the_chart(self) -> None:
        rendered = one(render("--set=crds.keep=false"), "CustomResourceDefinition")
        assert "annotations" not in rendered["metadata"]

    def test_may_be_left_out(self) -> None:
        assert all(o["kind"] != "CustomResourceDefinition" for o in render("--set=crds.enabled=false"))


class TestContainers:
    def test_heartbeat_may_change_the_network_and_nothing_else(self, containers: dict[str, dict[str, Any]]) -> None:
        assert containers["heartbeat"]["securityContext"] == {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"]},
        }

    @pytest.mark.parametrize("name", ["kube-sync", "operator"])
    def test_the_others_may_nothing(self, containers: dict[str, Any], pods: dict[str, Any], name: str) -> None:
        found = containers[name]["securityContext"]
        assert found["capabilities"] == {"drop": ["ALL"]}
        assert found["readOnlyRootFilesystem"] is True
        assert found["allowPrivilegeEscalation"] is False
        users = [c.get("runAsUser") for c in (found, pods["Deployment"]["securityContext"]) if "runAsUser" in c]
        assert users[0] == 65532

    def test_only_kube_sync_has_the_agents_token(self, pods: dict[str, Any]) -> None:
        pod = pods["DaemonSet"]
        assert pod["automountServiceAccountToken"] is False
        tokens = {v["name"] for v in pod["volumes"] if "serviceAccountToken" in str(v) or "secret" in v}
        assert tokens == {"token"}
        assert {c["name"] for c in pod["containers"] for m in c["volumeMounts"] if m["name"] in tokens} == {"kube-sync"}

    def test_only_heartbeat_writes_on_the_host(self, pods: dict[str, Any]) -> None:
        paths = {v["name"]: v["hostPath"] for v in pods["DaemonSet"]["volumes"] if "hostPath" in v}
        ours = {"/run/vyos-cluster", "/var/lib/vyos-cluster", "/etc/vyos-cluster/hooks"}
        assert {p["path"] for p in paths.values()} == ours | {"/run/dbus"}
        writable = {
            (c["name"], m["name"])
            for c in pods["DaemonSet"]["containers"]
            for m in c["volumeMounts"]
            if m["name"] in paths and not m.get("readOnly")
        }
        assert writable == {("heartbeat", "run"), ("heartbeat", "state")}
        assert not pods["Deployment"].get("volumes")

    def test_heartbeat_is_never_throttled(self, containers: dict[str, Any]) -> None:
        assert "cpu" not in containers["heartbeat"]["resources"]["limits"]
        with pytest.raises(GroundError, match="/agents/heartbeat/resources"):
            template("--set=agents.heartbeat.resources.limits.cpu=1")

    @pytest.mark.parametrize("name", ["heartbeat", "kube-sync", "operator"])
    def test_every_container_is_probed_and_bounded(self, containers: dict[str, Any], name: str) -> None:
        found = containers[name]
        assert {"startupProbe", "livenessProbe", "resources"} <= set(found)
        assert "memory" in found["resources"]["limits"]
        assert {"cpu", "memory"} == set(found["resources"]["requests"])

    def test_kube_sync_is_probed_on_loopback(self, containers: dict[str, Any]) -> None:
        probes = [containers["kube-sync"][f"{p}Probe"]["httpGet"] for p in ("startup", "liveness", "readiness")]
        assert {(p["host"], p["port"]) for p in probes} == {("127.0.0.1", 9694)}
        assert "ports" not in containers["kube-sync"]  # on the host's network they would be the host's

    def test_images(self) -> None:
        agent = one(render("--set=agents.image.tag=dev,agents.image.pullPolicy=Never"), "DaemonSet")
        found = {(c["image"], c["imagePullPolicy"]) for c in agent["spec"]["template"]["spec"]["containers"]}
        assert found == {("localhost/vyos-cluster-agent:dev", "Never")}


class TestPods:
    def test_agents_run_everywhere_and_go_last(self, pods: dict[str, Any]) -> None:
        pod = pods["DaemonSet"]
        assert pod["tolerations"] == [{"operator": "Exists"}]
        assert pod["priorityClassName"] == "system-node-critical"
        assert pod["hostNetwork"] is True
        assert not any(pod.get(k) for k in ("hostPID", "hostIPC"))
        assert pod["terminationGracePeriodSeconds"] == 30

    def test_the_operator_finds_the_agents(self, objects: list[dict[str, Any]]) -> None:
        wanted = dict(term.split("=") for term in kinds.PODS.label_selector.split(","))
        pods = {kind: one(objects, kind)["spec"]["template"] for kind in ("DaemonSet", "Deployment")}
        assert wanted.items() <= pods["DaemonSet"]["metadata"]["labels"].items()
        assert not wanted.items() <= pods["Deployment"]["metadata"]["labels"].items()
        names = [c["name"] for c in pods["DaemonSet"]["spec"]["containers"]]
        assert names == [presence.HEARTBEAT, presence.KUBE_SYNC]

    def test_a_common_label_cannot_hide_them(self) -> None:
        with pytest.raises(GroundError, match="/commonLabels"):
            template('--set-json=commonLabels={"app.kubernetes.io/part-of":"routers"}')
        assert "part-of: vyos-cluster" in template('--set-json=commonLabels={"example.com/team":"routers"}')

    def test_one_node_at_a_time(self, objects: list[dict[str, Any]]) -> None:
        strategy = one(objects, "DaemonSet")["spec"]["updateStrategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}

    def test_a_chart_upgrade_alone_restarts_nothing(self, objects: list[dict[str, Any]]) -> None:
        for kind in ("DaemonSet", "Deployment"):
            labels = one(objects, kind)["spec"]["template"]["metadata"]["labels"]
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & set(labels)

    def test_a_priority_class_of_ones_own(self) -> None:
        made = render("--set=agents.priorityClass.create=true,agents.priorityClass.name=routers")
        assert one(made, "PriorityClass")["metadata"]["name"] == "routers"
        assert one(made, "PriorityClass")["value"] == 1_000_000_000
        assert one(made, "DaemonSet")["spec"]["template"]["spec"]["priorityClassName"] == "routers"

    def test_where_the_operator_runs(self) -> None:
        values = '--set-json=operator.nodeSelector={"role":"infra"},operator.tolerations=[{"operator":"Exists"}]'
        pod = one(render(values), "Deployment")["spec"]["template"]["spec"]
        assert (pod["nodeSelector"], pod["tolerations"]) == ({"role": "infra"}, [{"operator": "Exists"}])


class TestEnvironment:
    """The processes understand what the chart tells them."""

    def environ(self, container: dict[str, Any]) -> dict[str, str]:
        fields = {
            "spec.nodeName": "node1",
            "metadata.namespace": "from-the-pod",
            "metadata.name": "pod-1",
        }
        return {
            e["name"]: e["value"] if "value" in e else fields[e["valueFrom"]["fieldRef"]["fieldPath"]]
            for e in container["env"]
        }

    def test_kube_sync(self, containers: dict[str, Any]) -> None:
        found = sync_settings.from_environment(self.environ(containers["kube-sync"]))
        assert found == sync_settings.Settings("node1", "from-the-pod")

    def test_operator(self, containers: dict[str, Any]) -> None:
        found = vyos_operator.settings.from_environment(self.environ(containers["operator"]))
        assert (found.operator_namespace, found.agent_namespace) == ("from-the-pod", AGENT_NAMESPACE)
        port = containers["operator"]["ports"][0]["containerPort"]
        assert found.liveness_port == port

    def test_heartbeat(self, containers: dict[str, Any]) -> None:
        environ = self.environ(containers["heartbeat"])
        arguments = [a.replace("$(NODE_NAME)", environ["NODE_NAME"]) for a in containers["heartbeat"]["args"]]
        found = heartbeat._parser().parse_args(arguments)
        assert (found.node, found.control_gid) == ("node1", 65532)
        assert environ.keys() == {"NODE_NAME", "LOG_LEVEL", "LOG_FORMAT"}

    def test_both_ends_of_the_control_socket(self, containers: dict[str, Any], pods: dict[str, Any]) -> None:
        environ = self.environ(containers["kube-sync"])
        arguments = containers["heartbeat"]["args"]
        assert f"--control={environ['CONTROL_SOCKET']}" in arguments
        assert f"--control-gid={containers['kube-sync']['securityContext']['runAsGroup']}" in arguments
        assert pods["DaemonSet"]["securityContext"]["supplementalGroups"] == [65532]
        assert containers["heartbeat"]["livenessProbe"]["exec"]["command"][-1] == environ["CONTROL_SOCKET"]
        assert MALLOC.items() <= environ.items(), "what was measured is what runs"

    def test_other_paths(self) -> None:
        paths = "agents.paths.run=/run/x,agents.paths.state=/var/y,agents.paths.hooks=/etc/z"
        pod = one(render(f"--set={paths}"), "DaemonSet")["spec"]["template"]["spec"]
        found = {v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v}
        assert found == {"/run/x", "/var/y", "/etc/z", "/run/dbus"}
        heartbeat, sync = pod["containers"]
        assert "--control=/run/x/control.sock" in heartbeat["args"]
        assert "--state=/var/y" in heartbeat["args"]
        assert "--hooks=/etc/z" in heartbeat["args"]
        assert self.environ(sync)["CONTROL_SOCKET"] == "/run/x/control.sock"

    @pytest.mark.parametrize("values", ["agents.hostServices.enabled=false", "agents.hostServices=false"])
    def test_without_host_services_systemd_is_out_of_reach(self, values: str) -> None:
        pod = one(render(f"--set={values}"), "DaemonSet")["spec"]["template"]["spec"]
        assert {v["name"] for v in pod["volumes"]} == {"run", "state", "token"}
        assert {m["name"] for m in pod["containers"][0]["volumeMounts"]} == {"run", "state"}
        assert not [a for a in pod["containers"][0]["args"] if a.startswith("--hooks")]
        assert "--host-services=" in pod["containers"][0]["args"], "no unit is allowed"


class TestNamespaces:
    def test_agents_are_privileged_in_their_own(self, objects: list[dict[str, Any]]) -> None:
        namespace = one(objects, "Namespace")["metadata"]
        assert namespace["name"] == AGENT_NAMESPACE
        assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
        assert one(objects, "DaemonSet")["metadata"]["namespace"] == AGENT_NAMESPACE
        assert one(objects, "Deployment")["metadata"]["namespace"] == RELEASE_NAMESPACE

    def test_the_two_must_differ(self) -> None:
        with pytest.raises(GroundError, match=r"agents\.namespace must not be the release's namespace"):
            template(f"--set=agents.namespace={RELEASE_NAMESPACE}")

    def test_may_be_there_already(self) -> None:
        assert all(o["kind"] != "Namespace" for o in render("--set=agents.createNamespace=false"))

    def test_every_reference_follows_the_names(self) -> None:
        values = "agents.namespace=routers,fullnameOverride=ha,crds.enabled=false,test.interface=eth0"
        text = template(f"--set={values},remoteControl.enabled=true", namespace="ops")
        assert AGENT_NAMESPACE not in text
        assert "system:serviceaccount:routers:ha-agent" in text
        assert "kubernetes.io/metadata.name: routers" in text
        for found in yaml.safe_load_all(text):
            for subject in (found or {}).get("subjects", []):
                known = {("routers", "ha-agent"), ("ops", "ha-operator"), ("ops", "ha-test")}
                assert (subject["namespace"], subject["name"]) in known


def test_policy_and_agent_agree_on_the_step_of_epochs(objects: list[dict[str, Any]]) -> None:
    expressions = [v["expression"] for v in one(objects, "ValidatingAdmissionPolicy")["spec"]["validations"]]
    (rule,) = (e for e in expressions if "n.epoch - o.epoch" in e)
    assert f"n.epoch - o.epoch <= {entries.EPOCH_STEP_MAX})" in rule
    assert rule.rstrip().endswith(f": n.epoch <= {entries.EPOCH_STEP_MAX})")


def test_policy_may_be_left_out() -> None:
    assert not [o for o in render("--set=policy.enabled=false") if o["kind"].startswith("ValidatingAdmission")]


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [
            "x",
            "crds.x",
            "policy.x",
            "remoteControl.x",
            "test.x",
            "metrics.x",
            "metrics.dashboard.x",
            "metrics.networkPolicy.x",
            "operator.x",
            "operator.image.x",
            "agents.x",
            "agents.image.x",
            "agents.paths.x",
            "agents.priorityClass.x",
            "agents.heartbeat.x",
            "agents.kubeSync.x",
            "agents.kubeSync.resources.x",
        ],
    )
    def test_an_unknown_one_is_refused(self, value: str) -> None:
        with pytest.raises(GroundError, match="additional properties 'x' not allowed"):
            template(f"--set={value}=1")

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ("operator.image.pullPolicy=Sometimes", "/operator/image/pullPolicy"),
            ("operator.logFormat=xml", "/operator/logFormat"),
            ("operator.healthPort=80", "/operator/healthPort"),
            ("operator.healthAddress=127.0.0.1", "/operator/healthAddress"),
            ("operator.healthAddress=pod", "/operator/healthAddress"),
            ("agents.kubeSync.metricsAddress=eth0", "/agents/kubeSync/metricsAddress"),
            ("test.interface=a/b", "/test/interface"),
            ("test.interface=a:", "/test/interface"),
            ("test.address=192.0.2.123", "/test/address"),
            ("test.nodes={a}", "/test/nodes"),
            ("test.nodes={a,b,c}", "/test/nodes"),
            ("test.nodes={a,#b}", "/test/nodes/1"),
            ("metrics.networkPolicy.from[0].namespace=monitoring", "/metrics/networkPolicy/from/0"),
            ("metrics.dashboard.labels.x=1", "/metrics/dashboard/labels/x"),
            ("agents.kubeSync.healthPort=70000", "/agents/kubeSync/healthPort"),
            ("agents.namespace=Agents", "/agents/namespace"),
            ("agents.maxUnavailable=0", "/agents/maxUnavailable"),
            ("agents.maxUnavailable=0%", "/agents/maxUnavailable"),
            ("agents.terminationGracePeriodSeconds=1", "/agents/terminationGracePeriodSeconds"),
            ("agents.paths.run=run", "/agents/paths/run"),
            ("agents.priorityClass.create=true", "/agents/priorityClass/name"),
            ("agents.priorityClass.value=2000000000", "/agents/priorityClass/value"),
            ("agents.logLevel=LOUD", "/agents/logLevel"),
            ("agents.tolerations[0].operator=Maybe", "/agents/tolerations/0/operator"),
        ],
    )
    def test_a_wrong_one_is_named(self, values: str, place: str) -> None:
        with pytest.raises(GroundError, match=re.escape(f"at '{place}'")):
            template(f"--set={values}")

    @pytest.mark.parametrize("value", ["2", "10%"])
    def test_max_unavailable(self, value: str) -> None:
        found = one(render(f"--set=agents.maxUnavailable={value}"), "DaemonSet")["spec"]["updateStrategy"]
        assert str(found["rollingUpdate"]["maxUnavailable"]) == value

    def test_each_has_a_comment(self) -> None:
        lines = (CHART / "values.yaml").read_text().splitlines()
        keys = [i for i, line in enumerate(lines) if re.match(r"\s*[A-Za-z]+:", line)]
        bare = [lines[i].strip() for i in keys if not lines[i - 1].strip().startswith("#")]
        parents = {
            "crds:",
            "policy:",
            "remoteControl:",
            "test:",
            "metrics:",
            "dashboard:",
            "networkPolicy:",
            "operator:",
            "agents:",
            "image:",
            "priorityClass:",
            "paths:",
            "heartbeat:",
            "kubeSync:",
        }
        inside = {"requests:", "limits:", "resources:"}  # (explained where they are not the usual thing)
        assert [b for b in bare if b not in parents and b.split()[0] not in inside] == []
