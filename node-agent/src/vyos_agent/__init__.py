"""The agent: the heartbeat daemon (core, edge) and kube-sync (sync)."""
