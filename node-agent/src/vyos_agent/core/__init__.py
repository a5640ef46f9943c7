"""The pure core of the heartbeat daemon: who is alive, who owns what, what must be held now.

No I/O, no clock, no randomness, no logging: values and `now` come in, effects go out (`node.Node.step`). The
same code runs in the daemon and, whole clusters at a time, in the simulator (`tests/sim`).
"""
