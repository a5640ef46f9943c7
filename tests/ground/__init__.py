"""The test ground: a real Kubernetes whose nodes are small systemd machines in network namespaces. See README.md."""
