"""The project's own benchmark: our daemon beside heartbeat, keepalived and ucarp, on the same wires."""
