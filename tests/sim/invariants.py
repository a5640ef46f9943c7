"""The invariants of the protocol, each with the sentence that it holds the cluster to. Checked after every step.

Facts come from `history` and `network`, allowances in time from `excuses`, bounds from `bounds`. What is broken raises
`Broken`, with the sentence.
"""

from __future__ import annotations

import collections
import typing
from collections.abc import Iterable, Mapping

from sim import bounds, expected
from sim.excuses import Excuses
from sim.tables import TableBounds
from sim.words import Broken, Words
from vyos_agent.core import wire
from vyos_agent.core.effects import Decided
from vyos_agent.core.model import OWNING, Reason, State, Vip
from vyos_agent.edge.grants import SLIP_MS

if typing.TYPE_CHECKING:
    from sim.host import Host
    from sim.world import World

ANNOUNCED_MS = 500
"""An announcement is due at once; this is patience with a busy netlink."""
CLAIMS_MAX = 64
MOVES_EACH, MOVES_MORE = 2, 4
"""How often a group may change its owner after the last fault: each member may come and go, and a few more."""
SOFT = frozenset({Reason.HANDOVER_REQUESTED, Reason.MONITORS_LOST, Reason.FAILBACK, Reason.CORDONED})
"""Reasons for a move that nobody needs at once."""


class Invariants:
    """See the module's text. A test that breaks one on purpose switches it off by name in `off`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._excuses = Excuses(world)
        self._words = Words(self._fail)
        self._tables = TableBounds(self._fail)
        self.off: set[str] = set()
        self._claims: dict[str, collections.deque[int]] = {}
        """By group: when somebody began to own it."""
        self._announced_ms: dict[tuple[Vip, str], int] = {}
        self._alone: dict[Vip, set[str] | None] = {}
        """Who held an address last, when anybody did."""
        self._to_announce: dict[Vip, tuple[str, int]] = {}
        """Who has an address alone now, and until when the LAN must have been told."""
        self._together: dict[tuple[str, str, str], int] = {}
        """(what, host, host) that both have something now, and since when."""

    def _fail(self, name: str, quote: str, detail: str) -> None:
        if name not in self.off:
            raise Broken(name, quote, f"at {self._world.now} ms: {detail}", self._world.log[-60:])

    # -- after every step

    def check(self) -> None:
        """All that can be read off the state of the world."""
        world = self._world
        together = {}
        for vip in world.history.crowded:
            for x, y in _pairs(world.holders(vip)):
                together[f"address {vip.address}", x, y] = self._one_holder(vip, x, y)
        for name in world.groups:
            for x, y in _pairs(world.history.claimants(name)):
                together[f"claim {name}", x, y] = self._one_owner(name, x, y)
            for x, y in _pairs(world.serving(name)):
                together[f"services {name}", x, y] = self._services_once(name, x, y)
        self._together = together
        self._clients()
        for vip in [v for v, (_, until) in self._to_announce.items() if world.now >= until]:
            self._is_announced(vip, *self._to_announce.pop(vip))
        if world.now - world.peace.whole_ms >= bounds.of(world).settled_ms + self._delayed_ms():
            self._settled()

    def _since(self, what: str, x: str, y: str) -> int:
        return self._together.get((what, x, y), self._world.now)

    def _one_holder(self, vip: Vip, x: str, y: str) -> int:
        """An address has one holder, except as the promise, a handover or a cut allow."""
        since = self._since(f"address {vip.address}", x, y)
        until, why = self._excuses.holders(vip, x, y, since)
        if self._world.now > until:
            self._fail(
                "one holder",
                "an address has one holder, except: (i) the allowances of the promise; (ii) in a handover; "
                "(iii) members cut from each other, until 2 x keepalive after contact",
                f"{x} and {y} hold {vip.address} since {since}, allowed until {until} ({why})",
            )
        self._world.look_again(until + 1)
        return since

    def _one_owner(self, name: str, x: str, y: str) -> int:
        """Any graph in which every two members hear each other or share a neighbour has one owner."""
        world = self._world
        since = self._since(f"claim {name}", x, y)
        limits = bounds.of(world)
        giving = world.history.handed(name, x, y)
        if giving is not None and world.network.lost_ms(x, y) >= giving.at_ms:
            # Partners that do not hear each other directly: the giver waits until the target must have given up.
            limit_ms = 2 * limits.validity_ms + limits.handover_ms
        elif giving is not None:
            limit_ms = limits.handover_ms + 2 * bounds.RESEND_MS
        else:
            limit_ms = limits.exchange_ms
        until = max(since, world.peace.joined_ms + limits.settled_ms + self._delayed_ms()) + limit_ms
        until = max(until, self._excuses.paused(x, limits)[0], self._excuses.paused(y, limits)[0])
        if world.now > until:
            self._fail(
                "one owner",
                "any graph of links in which every two members hear each other or share a neighbour, all nodes up: "
                "one owner after a delay and a loop",
                f"{x} and {y} own {name} since {since}, joined since {world.peace.joined_ms}, allowed until {until}",
            )
        world.look_again(until + 1)
        return since

    def _services_once(self, name: str, x: str, y: str) -> int:
        """Host services of a group never run on two nodes but after a kill or a partition."""
        since = self._since(f"services {name}", x, y)
        until, why = self._excuses.services(name, x, y, since)
        if self._world.now > until:
            self._fail(
                "services once",
                "host services of a group never run on two nodes but after a kill or a partition",
                f"those of {name} run on {x} and {y} since {since}, allowed until {until} ({why})",
            )
        self._world.look_again(until + 1)
        return since

    def _is_announced(self, vip: Vip, name: str, until: int) -> None:
        """Whoever has come to hold an address alone has told the LAN since."""
        world, since = self._world, self._world.history.since_ms(vip)
        group, host = world.group_of(vip), world.hosts[name]
        steady = host.runs and host.up_ms < since and world.peace.joined_ms < since - bounds.of(world).settled_ms
        if group is None or not steady or world.history.states[group].get(name) is not State.OWNER:
            return
        if (
            world.history.moved_ms.get(group, 0) <= until - ANNOUNCED_MS
            and self._announced_ms.get((vip, name), 0) < since
        ):
            self._fail(
                "the owner announces",
                "the loser removes its addresses, then says so; the winner announces ... in full when the loser has "
                "let go",
                f"{name} has {vip.address} alone since {since}, and has not told the LAN",
            )

    def _clients(self) -> None:
        world = self._world
        flips, world.clients.flips = world.clients.flips, []
        for at_ms, client, vip, old, new in flips:
            name = world.group_of(vip)
            if name is None or not self._quiet(name, bounds.of(world).settled_ms):
                continue
            if new not in world.history.claimants(name):
                self._fail(
                    "clients follow the winner",
                    "a client's ARP cache (last announcement wins, both answer probes) names the winner after a heal "
                    "and never flips back",
                    f"{client} went from {old} to {new} for {vip.address} at {at_ms}",
                )

    # -- when all has settled

    def _settled(self) -> None:
        """While all members hear each other and the configuration is settled, each group has one owner."""
        world = self._world
        for name, group in world.groups.items():
            rightful = expected.rightful(world, group)
            owners = world.history.claimants(name)
            moving = world.history.moving(name, bounds.of(world).validity_ms)
            if not self._quiet(name, bounds.of(world).settled_ms):
                continue
            if rightful is not None and len(owners) != 1 and not (moving and len(owners) == 2):
                self._fail(
                    "one owner when settled",
                    "while all members hear each other and the configuration is settled: one owner per group within "
                    "the stated bound",
                    f"{name} is owned by {sorted(owners)}, whole since {world.peace.whole_ms}",
                )

    def settled(self) -> None:
        """At the end of a peace: everything is in its place. Asked by who runs the schedule."""
        world = self._world
        placed_ms = bounds.of(world).placed_ms + self._delayed_ms()
        if world.now - world.peace.whole_ms < placed_ms:
            return
        self._settled()
        for name, group in world.groups.items():
            rightful = expected.rightful(world, group)
            if rightful is None or world.now - world.peace.harmed_ms.get(name, 0) < placed_ms:
                continue
            owner = next(iter(world.history.claimants(name)), "nobody")
            if owner not in rightful:
                self._fail(
                    "the rightful owner",
                    "one owner per group within the stated bound, and it is the one that the rules name",
                    f"{name} is owned by {owner}, and should be by one of {sorted(rightful)}",
                )
            self._in_place(name, owner)

    def _in_place(self, name: str, owner: str) -> None:
        world, group = self._world, self._world.groups[name]
        quote = "one owner per group within the stated bound: addresses, services, caches and every view of it agree"
        for vip in group.vips:
            if world.holders(vip) != {owner}:
                self._fail("holder is owner", quote, f"{owner} owns {name}; {world.holders(vip)} hold {vip.address}")
            for client in world.clients.all:
                if client.cache.get(vip, owner) != owner:
                    self._fail("clients agree", quote, f"{client.name} has {client.cache[vip]} for {vip.address}")
        if group.units and world.serving(name) != {owner}:
            self._fail(
                "services at the owner", quote, f"{owner} owns {name}; its services run on {world.serving(name)}"
            )
        for host in world.hosts.values():
            assert host.node is not None
            for report in host.node.report().groups:
                if report.name == name and report.owner != owner:
                    self._fail("views agree", quote, f"{host.name} takes {report.owner} for the owner of {name}")

    # -- what hosts do

    def decided(self, host: Host, d: Decided) -> None:
        """A change of state, before it is in the history."""
        moves = d.before is not d.after and OWNING & {d.before, d.after}
        if moves and self._quiet(d.group, bounds.of(self._world).placed_ms):
            self._fail(
                "nothing moves",
                "nothing moves on a tie, on a quiet cluster, on an API outage, on a configuration that changed other "
                "groups",
                f"{host.name} {d.group}: {d.before.name} -> {d.after.name} ({d.reason}); nothing has happened since "
                f"{self._world.peace.quiet_since(d.group)}",
            )
        if d.after in OWNING and d.before not in OWNING:
            self._comes_to_an_end(host, d)
        if d.after is State.OWNER and d.reason is Reason.PEER_DEAD and d.peer is not None:
            self._truly_silent(host, d)

    def _comes_to_an_end(self, host: Host, d: Decided) -> None:
        world = self._world
        since = max(world.peace.whole_ms, world.peace.harmed_ms.get(d.group, 0))
        claims = self._claims.setdefault(d.group, collections.deque(maxlen=CLAIMS_MAX))
        claims.append(world.now)
        limit = MOVES_EACH * len(world.hosts) + MOVES_MORE
        if sum(at > since for at in claims) > limit:
            self._fail(
                "moves come to an end",
                "a planned move needs a target that is strictly better: nothing goes to and fro",
                f"{host.name} owns {d.group} ({d.reason}), the claim after {limit} others since {since}",
            )

    def _truly_silent(self, host: Host, d: Decided) -> None:
        world, peer = self._world, self._world.hosts.get(d.peer or "")
        if peer is None or not peer.runs:
            return
        window_ms = 2 * bounds.of(world).settled_ms
        steady = min(
            world.now - peer.up_ms, world.now - host.up_ms, world.now - world.network.lost_ms(peer.name, host.name)
        )
        if steady > window_ms and world.now - world.peace.whole_ms > window_ms:
            self._fail(
                "no false death",
                "a member is dead when no frame of it is younger than its dead interval here or at any member heard",
                f"{host.name} took {d.group} over from {peer.name}, which runs and of which nothing was lost",
            )

    def announced(self, host: Host, vips: Iterable[Vip]) -> None:
        """Only the owner speaks for an address."""
        for vip in vips:
            self._announced_ms[vip, host.name] = self._world.now
            name = self._world.group_of(vip)
            state = self._world.history.states.get(name or "", {}).get(host.name)
            if state not in (State.OWNER, State.ASKING) and name is not None:
                self._fail(
                    "only the owner announces",
                    "in a handover, old and new for at most one delay, one loop and 20 ms, the old announcing nothing",
                    f"{host.name} announces {vip.address} as {state.name if state is not None else 'nobody'}",
                )

    def lit(self, vip: Vip, before: frozenset[str]) -> None:
        """The holders of an address have changed."""
        world = self._world
        name = world.group_of(vip)
        self._to_announce.pop(vip, None)
        if name is None:
            return
        holders = world.holders(vip)
        held_last = self._alone.get(vip)
        self._alone[vip] = holders or held_last
        if len(holders) == 1 and holders != held_last and all(world.hosts[h].runs for h in before):
            limits = bounds.of(world)
            until = world.now + limits.contact_ms + ANNOUNCED_MS
            self._to_announce[vip] = (next(iter(holders)), until)
            world.look_again(until)
        if holders:
            return
        quiet = self._quiet(name, bounds.of(world).settled_ms)
        for last in before:
            host = world.hosts[last]
            reason = host.last_reason.get(name)
            yields = world.history.states[name].get(last) not in OWNING
            given = reason is Reason.HANDED_OVER and self._taker_runs(name, last)
            if not yields and max(host.netlink_bounds_ms, default=0) > SLIP_MS:
                continue  # what is written so late lives a whole second less, and may be over before the next comes
            if host.runs and (quiet or (yields and (given or reason in SOFT))):
                self._fail(
                    "never dark on purpose",
                    "a voluntary move leaves no moment with no holder",
                    f"nobody holds {vip.address}: {last} let it go ({reason})",
                )

    def _taker_runs(self, name: str, giver: str) -> bool:
        """Whether the one that it was given to has been up since, with a kernel that takes and keeps the addresses."""
        giving = next((g for g in reversed(self._world.history.givings[name]) if g.giver == giver), None)
        taker = self._world.hosts.get(giving.target or "") if giving is not None else None
        if giving is None or taker is None or not taker.runs or max(taker.up_ms, taker.robbed_ms) > giving.at_ms:
            return False
        if taker.last_reason.get(name) is Reason.LINK_LOST and not self._world.network.hears(giver, taker.name):
            return False  # it lost its link in the moment in which it took over, and cannot tell the giver
        return taker.kernel.refuses.isdisjoint(self._world.groups[name].vips)

    def spoke(self, host: Host, datagrams: Mapping[str, tuple[bytes, ...]]) -> None:
        """A frame goes out: what it says must be true, and never less than what was said before."""
        keyring = host.config.keyring
        for data in next(iter(datagrams.values()), ()):
            beat = wire.unseal(data, host.config.cluster_id, keyring)
            if isinstance(beat, wire.Beat):
                self._words.said(self._world, host, beat)

    def restored(self, host: Host) -> None:
        """A machine was rolled back: what its daemon said since is not known to it."""
        self._words.forget(host.name)

    def stepped(self, host: Host, at_ms: int) -> None:
        """A step of one node is over."""
        node = host.node
        assert node is not None
        if node.deadline <= at_ms:
            self._fail(
                "deadline ahead", "`deadline > now` after every step", f"{host.name}: {node.deadline} <= {at_ms}"
            )
        self._tables.look(node)

    # -- small answers

    def _quiet(self, group: str, bound_ms: int) -> bool:
        world = self._world
        if world.history.damped(group, bound_ms + self._delayed_ms()):
            return False  # a member that stood back may come back into its own
        return world.now - world.peace.quiet_since(group) > bound_ms + self._delayed_ms()

    def _delayed_ms(self) -> int:
        """A recorder delays a decision by no more than one dead interval in all."""
        limits = bounds.of(self._world)
        lately = self._world.now - self._world.peace.replayed_ms < 2 * limits.placed_ms
        return limits.dead_ms if lately else 0


def _pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    who = sorted(names)
    return [(x, y) for i, x in enumerate(who) for y in who[i + 1 :]]
