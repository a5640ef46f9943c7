"""A shared address that is a Node's, a pod's, the API server's or a monitor's: refused, and what runs goes on."""

import dataclasses
import ipaddress

import pytest

from vyos_operator import kinds, node_addresses, plan
from vyos_operator.node_addresses import Taken
from vyos_operator.settings import Settings
from vyos_operator.store import Store

from .worlds import NOW, cluster, conditions, edited, group, message, names, working, world

VIP = "192.168.0.123"
FIELD = "spec.groups[0].services[0]"
ADVICE = "share an address that belongs to no machine"


def node(name: str, *addresses: tuple[str, str], version: int = 1, pods: tuple[str, ...] = ()) -> dict[str, object]:
    found = [{"type": kind, "address": address} for kind, address in addresses]
    meta = {"name": name, "uid": name, "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"podCIDRs": list(pods)}, "status": {"addresses": found}}


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (Taken({VIP: "the InternalIP of node2"}), f"{FIELD}: {VIP} is the InternalIP of node2; {ADVICE}"),
        (Taken({VIP: "the ExternalIP of node9"}), f"{FIELD}: {VIP} is the ExternalIP of node9; {ADVICE}"),
        (Taken({VIP: "the address of the API server"}), f"{FIELD}: {VIP} is the address of the API server; {ADVICE}"),
        (
            Taken(networks={ipaddress.ip_network("192.168.0.64/26"): "node3"}),
            f"{FIELD}: {VIP} is in the pod network of node3; {ADVICE}",
        ),
    ],
)
def test_an_address_of_the_cluster_itself_is_refused(taken: Taken, text: str) -> None:
    done = plan.plan_for(world(taken=taken))
    assert conditions(done)["Accepted"] == ("False", "AddressConflict")
    assert message(done, "Accepted").startswith(text)
    assert done.apply == ()
    assert [e["reason"] for e in done.events] == ["AddressConflict"]


def test_another_family_is_no_conflict() -> None:
    done = plan.plan_for(world(taken=Taken({"fd00::1": "x"}, {ipaddress.ip_network("fd00::/8"): "node3"})))
    assert conditions(done)["Accepted"][0] == "True"


def test_a_monitor_is_another_machines() -> None:
    body = cluster({**group(), "monitors": [VIP]})
    done = plan.plan_for(world(body))
    assert conditions(done)["Accepted"] == ("False", "AddressConflict")
    assert f"{FIELD}: {VIP} is also spec.groups[0].monitors[0]; a monitor must be another machine's" in message(
        done, "Accepted"
    )


def test_a_node_that_comes_later_is_reported_and_nothing_is_torn_down() -> None:
    ran = dataclasses.replace(working(), taken=Taken({VIP: "the InternalIP of node3"}))
    done = plan.plan_for(ran)
    assert conditions(done)["Accepted"] == ("True", "NodeHasAddress")
    assert message(done, "Accepted").endswith(
        f"{FIELD}: {VIP} is the InternalIP of node3, too; change the Node's address, or share another one"
    )
    assert (done.apply, done.delete, done.prune) == ((), (), ())


def test_a_refused_edit_leaves_what_ran() -> None:
    before = working()
    body = cluster(group(services=(f"{VIP}/24/eth0", "192.168.0.12/24/eth0")))
    after = dataclasses.replace(edited(before, body), taken=Taken({"192.168.0.12": "the InternalIP of node2"}))
    done = plan.plan_for(after)
    assert conditions(done)["Accepted"] == ("False", "AddressConflict")
    assert "spec.groups[0].services[1]: 192.168.0.12 is the InternalIP of node2" in message(done, "Accepted")
    assert (names(done.apply), done.delete) == ([], ())


def test_what_a_node_owns() -> None:
    body = node(
        "node2",
        ("InternalIP", "192.168.0.12"),
        ("ExternalIP", "FD00::0012"),
        ("Hostname", "node2"),
        ("InternalIP", "x"),
    )
    assert node_addresses.of_node(body) == {
        "192.168.0.12": "the InternalIP of node2",
        "fd00::12": "the ExternalIP of node2",
    }
    assert node_addresses.pod_networks(node("n", pods=("10.1.0.0/24", "10.1.0.1/24", "x"))) == ("10.1.0.0/24",)


def test_the_store_knows_them_and_wakes_the_clusters_that_ask_for_one() -> None:
    marked: list[str] = []
    store = Store(Settings("release", "agents", api_address="10.96.0.1"), marked.append)

    store.put(kinds.CLUSTERS, {**cluster(), "metadata": {**cluster()["metadata"], "resourceVersion": "5"}})
    marked.clear()
    store.put(kinds.NODES, node("node9", ("InternalIP", "192.168.0.99")))
    assert marked == [], "it concerns nobody"
    store.put(kinds.NODES, node("node9", ("InternalIP", VIP), version=2, pods=("10.1.0.0/24",)))
    assert marked == ["edge"]
    found = store.world("edge", NOW)
    assert found is not None
    assert found.taken.by(VIP) == "the InternalIP of node9"
    assert found.taken.by("10.1.0.7") == "in the pod network of node9"
    assert found.taken.by("10.96.0.1") == "the address of the API server"
    assert found.taken.by("192.0.2.1") is None
    marked.clear()
    store.drop(kinds.NODES, None, "node9", "node9")
    assert marked == ["edge"]
