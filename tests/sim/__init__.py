"""The simulator: whole clusters of the production core on a virtual clock.

The world: `world` (time), `host` (a machine and its shell) with `clock`, `kernel`, `keeper`, `services`, `sockets`;
`network` (LANs, the recorder), `clients` (ARP caches). The judge: `history` and `peace` (facts), `bounds`, `excuses`,
`expected` (what the rules allow), `invariants`, `words`, `tables`. The schedules: `faults*`, `scenario` (one seed),
`driver`, `episode`, `shrink`, `long` (for hours), `golden` (stories), `rows` (the state table to count).
"""
