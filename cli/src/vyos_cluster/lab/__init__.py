"""Routers to play with: network namespaces with the true heartbeat daemon, no Kubernetes, and a client that pings."""
