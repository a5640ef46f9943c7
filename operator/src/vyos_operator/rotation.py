"""From one heartbeat key to the next without losing a heartbeat: accept, switch, forget. Pure, with no memory.

The keys that the members have, what each of them says that it runs, and the secret that is wanted decide the next step;
so an operator that restarts goes on where it was, and one that is told another secret in the middle first brings to an
end what it had begun.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from vyos_api.keys import heartbeat_key
from vyos_api.nodeconfig import KEY_ID_MAX, Key, KeySet
from vyos_api.v1alpha1 import NodeStatus

FIRST_ID = 1
"""Of a cluster's first key."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rotation:
    """What the members shall have now, and what is still to come."""

    keys: KeySet
    stage: str = ""
    """What is done now, for people; empty at rest."""
    awaited: tuple[str, ...] = ()
    """Members that have not said yet that they run these keys."""


Entries = Mapping[str, NodeStatus | None]
"""What each member says of itself; None where it has said nothing yet."""


def rotate(secret: bytes, running: KeySet | None, uid: str, members: Entries) -> Rotation:
    """The next step on the way to the key of this secret. `members`: those that are waited for.

    One that its peers do not hear is not among them: it reads the Secret when it comes back.
    """
    wanted = heartbeat_key(secret, uid)
    if running is None:
        return Rotation(KeySet(uid, (Key(_newest(members), "send", wanted),)))
    begins = len(running.keys) == 1  # one more key to accept harms nobody, whoever has heard of it
    keys = running if _missing(running, members) and not begins else _step(running, wanted)
    stage = _stage(keys, wanted)
    return Rotation(keys, stage, _missing(keys, members) if stage else ())


def _newest(members: Entries) -> int:
    """Under which number the members know the wanted key, where the Secret with the keys was lost.

    It is the newest that any of them has: nothing else was on its way to them. No digest of a key is kept anywhere, so
    a pre-shared secret that is changed in the same moment is taken for the one that they have, and costs a moment in
    which they do not understand each other.
    """
    numbers = {number for entry in members.values() if entry is not None for number in entry.accept_keys or ()}
    return next((n for n in sorted(numbers) if n % KEY_ID_MAX + 1 not in numbers), FIRST_ID)


def _step(running: KeySet, wanted: bytes) -> KeySet:
    """Every living member runs these keys: what comes next."""
    send = running.send
    others = tuple(key for key in running.keys if key.use == "accept")
    if send.secret == wanted or (others and all(key.secret != wanted for key in others)):
        return KeySet(running.uid, (send,))  # nobody sends with another one any more, or ever did
    new = next((key for key in others if key.secret == wanted), None)
    if new is None:
        return KeySet(running.uid, (send, Key(send.id % KEY_ID_MAX + 1, "accept", wanted)))
    return KeySet(running.uid, (Key(send.id, "accept", send.secret), Key(new.id, "send", wanted)))


def _stage(keys: KeySet, wanted: bytes) -> str:
    if keys.send.secret == wanted:
        return "2 of 3: the members begin to send with the new key" if len(keys.keys) > 1 else ""
    if any(key.secret == wanted for key in keys.keys):
        return "1 of 3: the members learn to accept the new key"
    return "an earlier rotation is brought to its end first"


def _missing(keys: KeySet, members: Entries) -> tuple[str, ...]:
    accepted = {key.id for key in keys.keys}
    return tuple(
        sorted(
            name
            for name, entry in members.items()
            if entry is None or entry.send_key != keys.send.id or set(entry.accept_keys or ()) != accepted
        )
    )
