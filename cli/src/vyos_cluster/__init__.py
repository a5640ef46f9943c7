"""The `vyos-cluster` command: what people type. It asks and shows; nothing of a cluster depends on it."""
