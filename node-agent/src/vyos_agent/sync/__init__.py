"""kube-sync: between the API server and the heartbeat daemon."""
