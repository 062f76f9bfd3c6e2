"""What each server is told in the answer to its report. Pure.

A directive has a part that is the same for all (who the others are, how many watch what, where
steering is) and a part of its own. The common part is by far the longer one, and is rendered once
for all; so an answer costs the same however many servers there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from surgecast.control import messages
from surgecast.control.messages import Directive, Drain, Peer, RungReport
from traffic_manager.demand import NOTHING, Demand
from traffic_manager.fleet import Server, State
from traffic_manager.policy.decisions import Plan
from traffic_manager.settings import DirectiveSettings

_HEIRS_MAX = 16
_USABLE_MAX = 256
"""Channels in regions whose newcomers are told of; those with the most viewers."""
_COMMON = {"peers", "viewers", "usable", "steering_url"}
_SAID: Mapping[State, messages.State] = {
    "requested": "starting",
    "starting": "starting",
    "warming": "warming",
    "serving": "serving",
    "draining": "draining",
}
"""What others are told of a server in a state; nothing of one that is gone."""


@dataclass(frozen=True, slots=True)
class Bulletin:
    """What stands for all servers, made once a tick."""

    number: str
    """Names this state of things; directives made of it carry it."""
    peers: tuple[Peer, ...] = ()
    viewers: Mapping[str, int] = field(default_factory=dict)
    steering_url: str | None = None
    plan: Plan = field(default_factory=Plan)
    rung_caps: Mapping[str, str] = field(default_factory=dict)
    """The operator's: channel -> rung, on every server."""
    prewarm: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By region: the channels that relays are to have warm."""
    heirs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Draining server -> who takes its sessions over, best first."""
    common: bytes = b'{"steering_url":null}'
    """The common part as it is sent."""


def bulletin(
    number: str,
    servers: Sequence[Server],
    demand: Demand,
    plan: Plan,
    *,
    settings: DirectiveSettings,
    rung_caps: Mapping[str, str],
    steering_url: str | None,
    channels_bps: Mapping[tuple[str, str], float] | None = None,
) -> Bulletin:
    """Everything that directives of this moment are made of. `channels_bps` is what is expected of
    channels in regions, as far as that is known."""
    peers = tuple(_peer(s) for s in servers if s.url and s.state in _SAID)
    viewers = {name: load.viewers for name, load in demand.by_channel().items() if load.viewers}
    common = Directive(
        id="-",
        ttl_s=0,
        report_every_s=1,
        peers=list(peers),
        viewers=viewers,
        usable=usable_in([s for s in servers if s.state in _SAID]),
        steering_url=steering_url,
    ).model_dump_json(include=_COMMON)
    regions = {s.region for s in servers if s.role == "relay"}
    draining = [s for s in servers if s.state == "draining"]
    return Bulletin(
        number,
        peers,
        viewers,
        steering_url,
        plan,
        rung_caps,
        {
            region: channels_to_warm(region, servers, demand, settings, channels_bps or {})
            for region in regions
        },
        {server.id: heirs_of(server, servers) for server in draining},
        common.encode(),
    )


def directive_for(
    server: Server, told: Bulletin, now_s: float, settings: DirectiveSettings, every_s: float
) -> Directive:
    """What `server` is told, without the common part."""
    planned = told.plan.rung_caps.get(server.id, {})
    shown = {channel.channel: channel.ladder for channel in server.channels}
    caps = {}
    for channel, ladder in shown.items():
        asked = [some.get(channel) for some in (planned, told.rung_caps)]
        if named := [rung for rung in asked if rung is not None]:
            caps[channel] = _lowest(named, ladder)
    relay = server.role == "relay"
    return Directive(
        id=f"{told.number}-{server.id}"[:128],
        ttl_s=settings.ttl_s,
        report_every_s=every_s,
        egress_budget_bps=told.plan.budgets.get(server.id),
        rung_caps=caps,
        prewarm=list(server.prewarm or told.prewarm.get(server.region, ())) if relay else [],
        drain=_drain(server, told, now_s, settings),
        stop=server.state == "stopped",
    )


def render(directive: Directive, told: Bulletin) -> bytes:
    """The whole answer as JSON."""
    own = directive.model_dump_json(exclude=_COMMON).encode()
    return b"%b,%b" % (own[:-1], told.common[1:])


def usable_in(servers: Sequence[Server]) -> dict[str, dict[str, list[int]]]:
    """Channel -> region -> how many of the viewers that were seen can use which rung at most."""
    sums: dict[tuple[str, str], list[int]] = {}
    for server in servers:
        for channel in server.channels:
            for region, counts in channel.usable.items():
                before = sums.get((channel.channel, region), [])
                added = zip_longest(before, counts, fillvalue=0)
                sums[channel.channel, region] = [a + b for a, b in added]
    most_first = sorted(sums, key=lambda place: (-sum(sums[place]), place))[:_USABLE_MAX]
    found: dict[str, dict[str, list[int]]] = {}
    for channel_name, region in most_first:
        found.setdefault(channel_name, {})[region] = sums[channel_name, region]
    return found


def heirs_of(server: Server, servers: Sequence[Server]) -> tuple[str, ...]:
    """Who takes the sessions of a draining server: those of its region first, the freest first."""
    takers = [s for s in servers if s.takes_sessions and s.id != server.id]
    takers.sort(key=lambda s: (s.region != server.region, s.role == "origin", _load(s), s.id))
    return tuple(s.id for s in takers[:_HEIRS_MAX])


def channels_to_warm(
    region: str,
    servers: Sequence[Server],
    demand: Demand,
    settings: DirectiveSettings,
    channels_bps: Mapping[tuple[str, str], float],
) -> tuple[str, ...]:
    """What is or will be watched in a region, most first, then what is watched at all; at most
    `prewarm_max`."""
    on_show = [c.channel for s in servers if s.role == "origin" for c in s.channels if c.ready]
    totals = demand.by_channel()
    everywhere = sorted(on_show, key=lambda name: (-totals.get(name, NOTHING).viewers, name))
    here = {c: load.wanted_bps for (r, c), load in demand.cells.items() if r == region}
    for (place, channel), bps in channels_bps.items():
        if place == region:
            here[channel] = max(here.get(channel, 0.0), bps)
    most_first = sorted(here, key=lambda name: (-here[name], name))
    wanted = dict.fromkeys([*(name for name in most_first if here[name] > 0), *everywhere])
    return tuple(name for name in wanted if name in on_show)[: settings.prewarm_max]


def _load(server: Server) -> float:
    """Share of its budget that is in use; the unknown ones come last."""
    return server.egress_bps / server.budget_bps if server.budget_bps else 1.0


def _peer(server: Server) -> Peer:
    return Peer(
        server=server.id,
        url=server.url,
        region=server.region,
        role=server.role,
        state=_SAID[server.state],
    )


def _drain(
    server: Server, told: Bulletin, now_s: float, settings: DirectiveSettings
) -> Drain | None:
    if server.state != "draining":
        return None
    if server.drain_until_s is None:
        left_s = settings.drain_deadline_s  # it drains of its own accord
    else:
        left_s = max(0.0, server.drain_until_s - now_s)
    return Drain(deadline_s=left_s, to=list(told.heirs.get(server.id, server.heirs)))


def _lowest(rungs: Sequence[str], ladder: Sequence[RungReport]) -> str:
    """The lowest of some rungs; one that the ladder does not have loses."""
    names = [rung.rung for rung in ladder]
    return max(rungs, key=lambda rung: names.index(rung) if rung in names else -1)
