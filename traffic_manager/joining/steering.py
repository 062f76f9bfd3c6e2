"""HLS content steering: on which server a viewer is to play from now on. Pure.

RFC 8216bis sections 4.4.6.6 and 7; rules R51 to R53. A pathway is a server, by its id. A viewer
stays where he is while that server serves and is within its budget. He is moved when it is gone;
and by and by, a share of the viewers in each period, when it drains or is over its budget and
another has room. Who moves is drawn by lot from session, server and period: the same for everybody
who asks, and fresh each period, so that the share of those who are left is moved next.

What players make of a manifest decides its form:

- HOST of a clone replaces the host *name* in hls.js 1.7, Shaka 5.2 and video.js 8.24: a port in it
  is dropped together with the name. It is used where scheme, port and path are those of the base.
  Otherwise the URLs are spelled out by PER-VARIANT-URIS for those who read them (hls.js, AVPlayer),
  and HOST keeps the others at the base.
- video.js fails on a clone without PARAMS.
- hls.js before 1.5.18 mixes the variants of a clone among its own as long as it has known one
  pathway only and stays there (hls.js #6759). So a viewer at the base gets no clones until he is to
  leave it; every other viewer knows two pathways by now.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from surgecast.config import Settings
from surgecast.control.messages import Url
from traffic_manager.fleet import Server
from traffic_manager.joining.seats import Board, Seat

Reason = Literal["stays", "joins", "gone", "drains", "over_budget"]

_CANDIDATES = 8
"""Of each region, the emptiest ones that are weighed for a viewer."""


class SteeringSettings(Settings):
    """When viewers are moved between servers, and how many at once."""

    public_url: Url | None = Field(
        default=None,
        description="base of the manager's URLs for players, if it is not its `public_url`",
    )
    ttl_s: int = Field(default=10, ge=1, le=300, description="players ask again after this time")
    ttl_stress_s: int = Field(
        default=4,
        ge=1,
        le=300,
        description="the same while a server of the channel drains or is over its budget",
    )
    move_above: float = Field(
        default=0.95,
        gt=0,
        le=2,
        description="share of its egress budget above which a server gives viewers away",
    )
    move_below: float = Field(
        default=0.8, gt=0, le=2, description="they go only to servers with less than this in use"
    )
    share_max: float = Field(
        default=0.25, gt=0, le=1, description="of its viewers, at most this share moves in one TTL"
    )
    drain_share: float = Field(
        default=0.5, gt=0, le=1, description="the same for a server that drains"
    )
    pathways_max: int = Field(
        default=4, ge=2, le=16, description="servers named to a player, best first"
    )

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> Self:
        if self.move_below >= self.move_above:
            raise ValueError(
                f"move_below {self.move_below:g} is not below move_above {self.move_above:g}; "
                "viewers would be sent back and forth"
            )
        if self.ttl_stress_s > self.ttl_s:
            raise ValueError(
                f"ttl_stress_s {self.ttl_stress_s} is above ttl_s {self.ttl_s}; "
                "under stress players must ask sooner, not later"
            )
        return self


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: what is known of a session, and where its player says it is."""

    session: str
    """Or anything else that is his own."""
    region: str
    current: str | None
    owner: str | None = None
    """From his token; the pathway that his playlist began with."""


@dataclass(frozen=True, slots=True)
class Place:
    """One server that shows the channel."""

    server: str
    url: str
    region: str
    is_origin: bool
    seat: Seat | None
    """None where it takes nobody: it drains."""
    drain_left_s: float | None = None

    @property
    def load(self) -> float:
        return self.seat.load if self.seat is not None else 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """What one viewer is told. `moves_to` is the server that gets him with this answer."""

    priority: tuple[Place, ...]
    reason: Reason
    ttl_s: int
    moves_to: Place | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    """Of the viewers at one place, the share that goes in one TTL, why, and where to: each place
    with its weight in the lot."""

    share: float
    reason: Reason
    to: tuple[tuple[Place, float], ...]


class Chart:
    """All servers of one channel at one moment."""

    def __init__(
        self, channel: str, board: Board, settings: SteeringSettings, now_s: float
    ) -> None:
        self.channel = channel
        self.settings = settings
        self.places = {
            server.id: _place(server, board.seats.get(server.id), now_s)
            for server in board.showing(channel)
        }
        self.ladder = board.ladder(channel)
        self.stressed = any(
            place.seat is None or place.load > settings.move_above for place in self.places.values()
        )
        self.ttl_s = settings.ttl_stress_s if self.stressed else settings.ttl_s
        self._board = board
        self._candidates: dict[str, list[list[Place]]] = {}

    def base(self, owner: str | None) -> Place | None:
        """The pathway that clones are made of: one that every playlist names, an origin's."""
        origins = sorted(p.server for p in self.places.values() if p.is_origin)
        if owner in origins or (not origins and owner in self.places):
            return self.places[owner or ""]
        return self.places[origins[0]] if origins else None

    def course(self, asker: Asker, now_utc: float) -> Course | None:
        """What this viewer is told; None where nobody shows the channel."""
        named = asker.current if asker.current is not None else asker.owner
        current = self.places.get(named or "")
        others = self._ranked(asker, without=current)
        reason = self._reason(asker, current, others, now_utc)
        priority = others
        if current is not None:
            leaves = reason in ("drains", "over_budget")
            priority = [others[0], current, *others[1:]] if leaves else [current, *others]
            if leaves and current.seat is None:  # it may be gone by the time it is needed
                priority = [*others, current]
        if not priority:
            return None
        moves_to = None if reason == "stays" else priority[0]
        return Course(self._cut(priority, asker), reason, self.ttl_s, moves_to)

    def moves(self, current: str, region: str) -> Moves:
        """What `course` comes to for many viewers of a region who are at one place."""
        here = self.places[current]
        tiers = [[p for p in tier if p is not here] for tier in self._tiers(region)]
        open_to = [[p for p in tier if p.load < self.settings.move_below] for tier in tiers]
        chosen = next((tier for tier in [*open_to, *tiers] if tier), [])
        share, reason = self._share(here, chosen)
        return Moves(share, reason, tuple((place, _room_bps(place)) for place in chosen))

    def _reason(
        self, asker: Asker, current: Place | None, others: Sequence[Place], now_utc: float
    ) -> Reason:
        if current is None:
            return "joins" if asker.current is None else "gone"
        share, reason = self._share(current, others)
        period = int(now_utc / self.ttl_s)
        drawn = _lot(f"{asker.session} {current.server} {period}")
        return reason if drawn < share else "stays"

    def _share(self, current: Place, others: Sequence[Place]) -> tuple[float, Reason]:
        """Of the viewers of `current`, how many are to leave it in this period, and why."""
        if current.seat is None:
            if not others:
                return 0.0, "stays"
            hurry = current.drain_left_s is not None and current.drain_left_s < 2 * self.ttl_s
            return (1.0 if hurry else self.settings.drain_share), "drains"
        above, below = self.settings.move_above, self.settings.move_below
        if current.load <= above or not others or others[0].load >= below:
            return 0.0, "stays"
        excess = 1 - (above + below) / 2 / current.load
        return min(self.settings.share_max, excess), "over_budget"

    def _ranked(self, asker: Asker, without: Place | None) -> list[Place]:
        """Other serving places: with room first, by region, then by weighted lot."""
        found: list[Place] = []
        for tier in self._tiers(asker.region):
            weighed = [(_weight(asker.session, p), p) for p in tier if p is not without]
            found += [p for _, p in sorted(weighed, key=lambda entry: entry[0], reverse=True)]
            if len(found) >= self.settings.pathways_max and found[0].load < 1:
                break
        return sorted(found, key=lambda place: place.load >= self.settings.move_below)

    def _tiers(self, region: str) -> list[list[Place]]:
        tiers = self._candidates.get(region)
        if tiers is None:
            tiers = [
                [self.places[seat.server] for seat in sorted(tier, key=_left)[:_CANDIDATES]]
                for tier in self._board.tiers(self.channel, region)
            ]
            self._candidates[region] = tiers
        return tiers

    def _cut(self, priority: Sequence[Place], asker: Asker) -> tuple[Place, ...]:
        """At most `pathways_max`, the base always among them: it is where all can go."""
        cut = list(priority[: self.settings.pathways_max])
        base = self.base(asker.owner)
        if base is not None and base not in cut:
            cut = [*cut[: self.settings.pathways_max - 1], base]
        return tuple(cut)


def _place(server: Server, seat: Seat | None, now_s: float) -> Place:
    until_s = server.drain_until_s
    return Place(
        server.id,
        server.url,
        server.region,
        server.role == "origin",
        seat,
        None if until_s is None else until_s - now_s,
    )


def _left(seat: Seat) -> float:
    return -seat.left_bps


def _lot(text: str) -> float:
    """Drawn from between 0 and 1 by a text, both excluded."""
    digest = hashlib.blake2b(text.encode(), digest_size=6).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**48


def _weight(session: str, place: Place) -> float:
    """Weighted rendezvous hashing: each place wins as often as its room is of all room."""
    return _room_bps(place) / -math.log(_lot(f"{session} {place.server}"))


def _room_bps(place: Place) -> float:
    return max(place.seat.left_bps, 1.0) if place.seat is not None else 1.0


# The manifest.


def manifest(
    chart: Chart, course: Course, asker: Asker, reload_uri: str, token: str | None
) -> bytes:
    """The steering manifest for one viewer; `token` is his, if it is good."""
    answer: dict[str, Any] = {
        "VERSION": 1,
        "TTL": course.ttl_s,
        "RELOAD-URI": reload_uri,
        "PATHWAY-PRIORITY": [place.server for place in course.priority],
    }
    base = chart.base(asker.owner)
    if base is not None and course.priority[0] is not base:
        known = (base.server, asker.owner)
        clones = [
            _clone(place, base, lambda url: _variant_urls(url, chart, token))
            for place in course.priority
            if place.server not in known
        ]
        if clones:
            answer["PATHWAY-CLONES"] = clones
    return json.dumps(answer, separators=(",", ":")).encode()


def keeping(current: str, reload_uri: str, ttl_s: int) -> bytes:
    """A manifest that leaves the viewer where he is, while nothing better is known."""
    answer = {
        "VERSION": 1,
        "TTL": ttl_s,
        "RELOAD-URI": reload_uri,
        "PATHWAY-PRIORITY": [current],
    }
    return json.dumps(answer, separators=(",", ":")).encode()


def _clone(place: Place, base: Place, urls: Callable[[str], Mapping[str, str]]) -> dict[str, Any]:
    there, here = urlsplit(place.url), urlsplit(base.url)
    alike = (there.scheme, there.port, there.path) == (here.scheme, here.port, here.path)
    replacement: dict[str, Any] = {
        "HOST": _host(there.hostname if alike else here.hostname),
        "PARAMS": {},
    }
    spelled = {} if alike else urls(place.url)
    if spelled:
        replacement["PER-VARIANT-URIS"] = spelled
    return {"BASE-ID": base.server, "ID": place.server, "URI-REPLACEMENT": replacement}


def _host(name: str | None) -> str:
    return f"[{name}]" if name is not None and ":" in name else name or ""


def _variant_urls(server_url: str, chart: Chart, token: str | None) -> dict[str, str]:
    """STABLE-VARIANT-ID -> playlist, for all kinds: a player looks up only those it has."""
    if token is None:
        return {}
    stem = f"{server_url}/live/{chart.channel}/s/{token}"
    urls = {rung: f"{stem}/{rung}/media.m3u8" for rung in chart.ladder}
    urls |= {f"ll-{rung}": f"{stem}/ll/{rung}/media.m3u8" for rung in chart.ladder}
    urls["adaptive"] = f"{stem}/media.m3u8"
    urls["ll-adaptive"] = f"{server_url}/live/{chart.channel}/ll/s/{token}/media.m3u8"
    return urls
