"""The bare API server that other tests stand on: tokens, RBAC, garbage collection, and nothing left behind."""

import json
import time

import pytest

from ground.apiserver import ApiServer
from ground.apiserver import apiserver as run_apiserver
from ground.shell import GroundError, wait

pytestmark = pytest.mark.apiserver


def test_version_is_the_pinned_one(apiserver: ApiServer) -> None:
    assert json.loads(apiserver.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == "v1.34.4"


def test_a_user_may_only_what_rbac_gives(apiserver: ApiServer) -> None:
    stranger = apiserver.kubeconfig_as("somebody")
    with pytest.raises(GroundError, match='User "somebody" cannot list resource "configmaps"'):
        apiserver.kubectl("get", "configmaps", kubeconfig=stranger)


def test_service_account_tokens_log_in(apiserver: ApiServer) -> None:
    token = apiserver.kubectl("create", "token", "default").strip()
    who = apiserver.kubectl("auth", "whoami", kubeconfig=apiserver.kubeconfig_with_token(token))
    assert "system:serviceaccount:default:default" in who


def test_admission_policies_refuse(apiserver: ApiServer) -> None:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "ground-test"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
                ]
            },
            "validations": [{"expression": "object.metadata.name != 'refused'", "message": "not this name"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "ground-test"},
        "spec": {"policyName": "ground-test", "validationActions": ["Deny"]},
    }
    apiserver.kubectl(
        "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [policy, binding]})
    )
    try:
        wait(lambda: _refused(apiserver), 10, "the policy to be in force")
    finally:
        apiserver.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "ground-test")


def _refused(api: ApiServer) -> bool:
    try:
        api.kubectl("create", "configmap", "refused", "--dry-run=server")
    except GroundError as error:
        return "not this name" in str(error)
    return False


def test_owned_objects_are_collected(apiserver: ApiServer) -> None:
    apiserver.kubectl("create", "configmap", "owner")
    uid = apiserver.kubectl("get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
    owned = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "owned",
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}],
        },
    }
    apiserver.kubectl("create", "-f", "-", stdin=json.dumps(owned))
    apiserver.kubectl("delete", "configmap", "owner")
    wait(lambda: "owned" not in apiserver.kubectl("get", "configmaps", "-o", "name"), 15, "the owned object to go")


def test_ready_in_time_and_leaves_nothing() -> None:
    start = time.monotonic()
    with run_apiserver() as api:
        took_s = time.monotonic() - start
        folder = api.logs.parent
        assert api.ready()
    assert not folder.exists()
    assert not api.ready()
    print(f"ready after {took_s:.1f} s")
    assert took_s < 10
