"""`/watch/{channel}`: a viewer joins, and is sent to the best server under a session of his own.

The answer is a redirect to a multivariant playlist, never to media. It names the server that will
own the session; see `traffic_manager.joining.seats` for how that is chosen. With `?format=json` or
`Accept: application/json` the same is told instead, with other servers to fall back on.
"""

import base64
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from pydantic import Field

from surgecast.clock import Clock
from surgecast.config import Settings
from surgecast.delivery.assets import CORS, SERVER
from surgecast.delivery.sessions.tokens import Claims, Keyring
from surgecast.errors import RemoteError
from surgecast.units import Seconds
from traffic_manager.fleet import Server
from traffic_manager.joining.regions import Regions
from traffic_manager.joining.seats import Board, Pending, Seat

PLAYLISTS = ("index", "adaptive", "ll")
_SESSION_BYTES = 12
_STALE_S = 0.02
"""A board older than this is made anew before a viewer is turned away."""
_HEADERS = {**CORS, "Cache-Control": "no-store", "Vary": "Accept", "Server": SERVER}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Max-Age": "86400",
    "Cache-Control": "no-store",
}


class JoinSettings(Settings):
    """How viewers are sent to servers."""

    refresh_s: Seconds = Field(
        default=0.25, le=10, description="servers and their room are looked at this often"
    )
    settle_s: Seconds = Field(
        default=3.0,
        le=60,
        description="a viewer who was sent to a server takes room there for this long, or twice "
        "as long, before its reports must show him",
    )
    retry_after_s: int = Field(
        default=2, ge=1, le=600, description="told to viewers when no server has room"
    )
    alternatives_max: int = Field(
        default=3, ge=0, le=16, description="further servers named in a JSON answer"
    )


class UnknownChannel(RemoteError):
    """No server shows it; answered 404."""


class NoSeat(RemoteError):
    """Nothing to offer now; answered 503 with Retry-After."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the query of a join asks for."""

    playlist: str = "index"
    region: str = ""
    json: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A viewer and the server he is sent to."""

    seat: Seat
    claims: Claims
    token: str

    def url(self, playlist: str) -> str:
        return playlist_url(self.seat.url, self.claims.channel, self.token, playlist)


def playlist_url(server_url: str, channel: str, token: str, playlist: str) -> str:
    return f"{server_url}/live/{channel}/s/{token}/{playlist}.m3u8"


class Join:
    """Places viewers, and counts them."""

    def __init__(
        self,
        settings: JoinSettings,
        regions: Regions,
        keyring: Keyring,
        servers: Callable[[], Iterable[Server]],
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.regions = regions
        self.keyring = keyring
        self.joins: Counter[tuple[str, str]] = Counter()
        """(region, channel) -> viewers sent to a server, since the start."""
        self.turned_away: Counter[tuple[str, str]] = Counter()
        """The same for viewers whom no server had room for."""
        self.unknown = 0
        """Joins for channels that nobody shows."""
        self.pending = Pending(settings.settle_s)
        self._servers = servers
        self._clock = clock
        self._board = Board((), self.pending, regions.settings.order_from)
        self._made_at_s = -1e9
        self._second = 0
        self._tail = b""

    def configure(self, settings: JoinSettings, regions: Regions, keyring: Keyring) -> None:
        """Go by other settings from now on."""
        self.settings, self.regions, self.keyring = settings, regions, keyring
        self.pending.settle_s = settings.settle_s
        self._made_at_s = -1e9

    def board(self, max_age_s: float | None = None) -> Board:
        """The seats, no older than `refresh_s` or `max_age_s`."""
        now_s = self._clock.now()
        limit_s = self.settings.refresh_s if max_age_s is None else max_age_s
        if now_s - self._made_at_s >= limit_s:
            self.pending.turn(now_s)
            order = self.regions.settings.order_from
            self._board = Board(self._servers(), self.pending, order)
            self._made_at_s = now_s
        return self._board

    def place(self, channel: str, region: str) -> Placed:
        """Send a viewer somewhere. Raises UnknownChannel, NoSeat."""
        noise = os.urandom(_SESSION_BYTES)
        board = self.board()
        draw = int.from_bytes(noise[:6], "big")
        seat = board.choice(channel, region).take(draw) if channel in board.channels else None
        if seat is None:
            board = self.board(_STALE_S)
            seat = _second_look(board, channel, region, draw)
        self.pending.add(seat.server, board.rates[channel])
        self.joins[region, channel] += 1
        session = base64.urlsafe_b64encode(noise).decode()
        return self._placed(seat, session, channel, region)

    def _placed(self, seat: Seat, session: str, channel: str, region: str) -> Placed:
        expires_utc = self._clock.utc() + self.keyring.life_s
        claims = Claims(session, channel, region, seat.server, expires_utc)
        return Placed(seat, claims, self.keyring.mint(claims))

    def alternatives(self, placed: Placed) -> list[Placed]:
        """Other servers for the same session, best first."""
        claims = placed.claims
        tiers = self.board().tiers(claims.channel, claims.region)
        seats = [
            seat
            for tier in tiers
            for seat in sorted(tier, key=lambda seat: seat.load)
            if seat.server != placed.seat.server and seat.lowest_left_bps > 0
        ]
        return [
            self._placed(seat, claims.session, claims.channel, claims.region)
            for seat in seats[: self.settings.alternatives_max]
        ]

    # In HTTP.

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/watch/{channel}", self._watch),
            web.options("/watch/{channel}", self._preflight),
        ]

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers=PREFLIGHT)

    async def _watch(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        try:
            wish = read_wish(request.query_string)
        except RemoteError as error:
            return _refusal(400, str(error))
        region = self.regions.of(request.remote or "", header_of(request), wish.region)
        try:
            placed = self.place(channel, region)
        except UnknownChannel as error:
            self.unknown += 1
            return _refusal(404, str(error))
        except NoSeat as error:
            self.turned_away[region, channel] += channel in self.board().channels
            headers = {"Retry-After": str(self.settings.retry_after_s)}
            return _refusal(503, str(error), headers)
        if wish.json or wants_json(request.headers.get(hdrs.ACCEPT, "")):
            return self._told(placed, wish.playlist)
        headers = {"Location": placed.url(wish.playlist), **_HEADERS}
        return web.Response(status=302, headers=headers)

    def _told(self, placed: Placed, playlist: str) -> web.Response:
        def entry(found: Placed) -> dict[str, object]:
            seat = found.seat
            return {"url": found.url(playlist), "server": seat.server, "region": seat.region}

        claims = placed.claims
        answer = {
            **entry(placed),
            "viewer_region": claims.region,
            "session": claims.session,
            "expires": round(claims.expires_utc),
            "alternatives": [entry(other) for other in self.alternatives(placed)],
        }
        return web.json_response(answer, headers=_HEADERS)

    def wire(self, channel: str, wish: Wish, region: str) -> bytes | None:
        """The whole redirect for the fast lane; None where there is something to explain."""
        try:
            placed = self.place(channel, region)
        except RemoteError:
            return None
        second = int(time.time())
        if second != self._second:
            self._second, self._tail = second, _tail(second)
        return b"HTTP/1.1 302 Found\r\nLocation: %b%b" % (
            placed.url(wish.playlist).encode(),
            self._tail,
        )


def _second_look(board: Board, channel: str, region: str, draw: int) -> Seat:
    if board.empty:
        raise NoSeat("no server has reported yet")
    if channel not in board.channels:
        raise UnknownChannel("there is no such channel")
    seat = board.choice(channel, region).take(draw)
    if seat is None:
        raise NoSeat("no server has room for another viewer")
    return seat


def _tail(second: int) -> bytes:
    headers = {
        **_HEADERS,
        "Content-Length": "0",
        "Date": formatdate(second, usegmt=True),
    }
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    return f"{lines}\r\n\r\n".encode()


def read_wish(query: str) -> Wish:
    """What a query asks for; names it does not know are left alone. Raises RemoteError."""
    if not query:
        return Wish()
    try:
        values = dict(parse_qsl(query, max_num_fields=16))
    except ValueError as error:
        raise RemoteError("the query has too many fields; allowed: 16") from error
    playlist = values.get("playlist", "index")
    if playlist not in PLAYLISTS:
        raise RemoteError(f"playlist is none of {', '.join(PLAYLISTS)}")
    return Wish(playlist, values.get("region", ""), values.get("format") == "json")


def wants_json(accept: str) -> bool:
    return "application/json" in accept.lower()


def header_of(request: web.Request) -> Callable[[str], str]:
    """Gives the comma-joined values of a header."""
    return lambda name: ",".join(request.headers.getall(name, ()))


def _refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**_HEADERS, **(headers or {})})
