export PATH=$PATH:/opt/k8s CONTAINER_RUNTIME_ENDPOINT=unix:///run/containerd/containerd.sock
