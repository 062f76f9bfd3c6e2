"""What holds on this server now: its own YAML, and the manager's latest directive over it. Pure.

A directive is of two kinds of things. *Orders* (budget, caps, channels to warm, viewers of the
fleet) hold for `ttl_s` after it came, by this server's own monotonic clock: then the server goes by
its own YAML again, whatever has become of the manager. *Knowledge* (who the others are, where
steering is) stays until there is newer: a manager that is away makes no server vanish, and to
forget the owners of sessions would tear them from their histories. For the same reason a server
that a directive no longer names is remembered for that directive's `ttl_s`: a manager that has just
come back names only those that have reported to it already.

A drain is an order that is not taken back by silence: it has begun to move viewers away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from surgecast.control.messages import VERSION, Directive, Drain, Peer, State
from surgecast.control.settings import FleetSettings, PeerSettings
from surgecast.delivery.sessions.neighbours import Neighbour, Neighbours


@dataclass(frozen=True, slots=True)
class Own:
    """What this server says of itself, without any manager."""

    server: str
    url: str
    region: str
    is_origin: bool
    report_every_s: float
    budget_bps: float | None = None
    """None: no limit is known."""
    peers: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """The newest directive, and when it came by this server's monotonic clock."""

    directive: Directive
    received_at: float
    unnamed: Mapping[str, tuple[Peer, float]] = field(default_factory=dict)
    """Servers that earlier directives named and this one does not -> until when they are kept."""

    def peers(self, now: float) -> list[Peer]:
        """Those named, and those remembered."""
        remembered = [peer for peer, until in self.unnamed.values() if now < until]
        return [*self.directive.peers, *remembered]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is in force."""

    directive: str
    """Empty where none is in force."""
    neighbours: Neighbours
    budget_bps: float | None
    report_every_s: float
    rung_caps: Mapping[str, str] = field(default_factory=dict)
    viewers: Mapping[str, int] = field(default_factory=dict)
    """Channel -> viewers in the whole fleet; empty where only this server's own are known."""
    usable: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    """Channel -> region -> how many of the fleet's viewers can use which rung at most."""
    prewarm: tuple[str, ...] = ()
    drain: Drain | None = None
    stop: bool = False


class UnknownVersion(ValueError):
    """A directive of a manager that speaks another version; refused and counted."""


def own_of(settings: FleetSettings, url: str, *, is_origin: bool) -> Own:
    """From the YAML of a server that viewers reach at `url`."""
    capacity_bps = settings.egress.capacity_bps
    return Own(
        settings.server.id,
        url,
        settings.server.region,
        is_origin,
        settings.control.report_every_s,
        None if capacity_bps is None else capacity_bps * settings.egress.utilisation_target,
        tuple(map(_static, settings.peers)),
    )


def itself(own: Own, state: State) -> Neighbour:
    """This server, as one of those that sessions can belong to."""
    takes = state == "serving"
    return Neighbour(own.server, own.url, own.region, own.is_origin, takes_sessions=takes)


def accept(directive: Directive, before: Held | None, now: float) -> Held:
    """A directive that came `now`, after the one `before`. Raises UnknownVersion."""
    if directive.version != VERSION:
        raise UnknownVersion(
            f"directive {directive.id} has version {directive.version}; this server knows {VERSION}"
        )
    if before is None:
        return Held(directive, now)
    named = {peer.server for peer in directive.peers}
    ages = {peer.server: (peer, now + directive.ttl_s) for peer in before.directive.peers}
    known = {**before.unnamed, **ages}
    unnamed = {
        server: (peer, until)
        for server, (peer, until) in known.items()
        if server not in named and now < until
    }
    return Held(directive, now, unnamed)


def standing(own: Own, held: Held | None, state: State, now: float) -> Standing:
    """What is in force at `now` on a server in `state`."""
    others, steering_url = own.peers, None
    if held is not None:
        told = held.directive
        others = tuple(_told(peer) for peer in held.peers(now) if peer.server != own.server)
        steering_url = told.steering_url
    known = Neighbours(itself(own, state), others, steering_url)
    plain = Standing("", known, own.budget_bps, own.report_every_s)
    if held is None or now - held.received_at >= held.directive.ttl_s:
        return plain
    return _ordered(plain, held.directive)


def _ordered(plain: Standing, told: Directive) -> Standing:
    budgets = [b for b in (plain.budget_bps, told.egress_budget_bps) if b is not None]
    return replace(
        plain,
        directive=told.id,
        budget_bps=min(budgets, default=None),
        report_every_s=told.report_every_s,
        rung_caps=told.rung_caps,
        viewers=told.viewers,
        usable=told.usable,
        prewarm=tuple(told.prewarm),
        drain=told.drain,
        stop=told.stop,
    )


def _static(peer: PeerSettings) -> Neighbour:
    return Neighbour(
        peer.id, peer.url, peer.region, is_origin=peer.role == "origin", takes_sessions=True
    )


def _told(peer: Peer) -> Neighbour:
    return Neighbour(
        peer.server,
        peer.url,
        peer.region,
        is_origin=peer.role == "origin",
        takes_sessions=peer.state == "serving",
    )
