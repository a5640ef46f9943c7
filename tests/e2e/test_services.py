"""docs/kubernetes-services.md as it stands: a client reaches a pod through the shared address, whoever owns it.

The page leaves the pod to the reader; here it is an HTTP server on node3, which is no member of the cluster, so that
neither the owner nor its heir can answer by itself.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from e2e.test_documents import SERVICES, begin, end, follow
from ground.api import Ground
from ground.images import VERSION
from product import Product

pytestmark = pytest.mark.e2e
VIP = "192.168.0.123"
PORTS = {"web": 80, "web-external": 8080}
"""The Services of the page: by a load balancer's status, and by externalIPs."""
WORD = "the pod on node3"
PATIENCE_S = 60
SERVER = f"""
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write({WORD.encode()!r})
HTTPServer(("", 8080), Handler).serve_forever()
"""
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
    "spec": {
        "nodeName": "node3",
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "web",
                "image": f"localhost/vyos-cluster-agent:{VERSION}",
                "imagePullPolicy": "Never",
                "command": ["python3", "-c", SERVER],
                "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
            }
        ],
    },
}


def ask(ground: Ground, port: int) -> str:
    """What the client is answered on the shared address; '' where nobody answers."""
    with closing(ground.socket("client", socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.settimeout(2)
        try:
            sock.connect((VIP, port))
            sock.sendall(f"GET / HTTP/1.0\r\nHost: {VIP}\r\n\r\n".encode())
            answer = http.client.HTTPResponse(sock)
            answer.begin()
            return answer.read().decode().strip()
        except (OSError, http.client.HTTPException):
            return ""


def wait_answers(ground: Ground) -> None:
    for name, port in PORTS.items():
        ground.wait(lambda port=port: ask(ground, port) == WORD, PATIENCE_S, f"{name} to answer on {VIP}:{port}")  # type: ignore[misc]


@pytest.fixture
def web(product: Product) -> Iterator[None]:
    """The reader's pod."""
    kubectl = product.ground.kubectl
    product.apply(POD)
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s", timeout_s=70)
    yield
    for what in (("pod", "web"), ("service", "web"), ("service", "web-external")):
        kubectl("delete", *what, "--namespace=default", "--ignore-not-found")


@pytest.mark.timeout(300, func_only=True)
def test_a_service_answers_on_the_shared_address_before_and_after_a_failover(
    product: Product, web: None, tmp_path: Path
) -> None:
    ground = product.ground
    try:
        follow(SERVICES, product, tmp_path / "page")
        ground.client_forgets(VIP)  # kube-proxy answers for it on whichever node an earlier test left in the table
        assert [ask(ground, port) for port in PORTS.values()] == ["", ""]  # nobody has the address yet
        begin(product, tmp_path / "start")
        assert ground.holders(VIP) == {"node1"}
        wait_answers(ground)
        ground.fault.power_off("node1")
        assert ground.wait_holder(VIP, 15, other_than="node1") == "node2"
        wait_answers(ground)
        assert ground.client_arp(VIP) == ground.mac("node2")
        assert ground.holders(VIP) == {"node2"}
    finally:
        ground.mend()
        end(product)
