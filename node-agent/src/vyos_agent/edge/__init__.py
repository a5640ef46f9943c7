"""Sockets, netlink, timers: what the heartbeat daemon touches the world with. Nothing here decides anything."""
