"""The core of the heartbeat daemon."""
