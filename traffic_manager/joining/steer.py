"""`/steer/{channel}`: the steering manifest over HTTP, for every player that asks.

Nothing a player sends is an error: a token that is forged or has expired is left aside, a pathway
may stand in quotes or not, be missing, or be one that nobody knows (R53). It is never told 429, as
hls.js then never asks again (R52).
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import parse_qsl

from aiohttp import web

from surgecast.clock import Clock
from surgecast.delivery.assets import CORS, SERVER
from surgecast.delivery.sessions.tokens import TOKEN_CHARACTERS_MAX, Claims, TokenRefused
from surgecast.hls.rules_steering import STEERING_TYPE
from traffic_manager.joining.join import PREFLIGHT, Join, header_of
from traffic_manager.joining.seats import Board
from traffic_manager.joining.steering import (
    Asker,
    Chart,
    Place,
    SteeringSettings,
    keeping,
    manifest,
)

_HEADERS = {**CORS, "Cache-Control": "no-store", "Server": SERVER}
_PATHWAY_CHARACTERS_MAX = 64
_FIELDS_MAX = 16


@dataclass(frozen=True, slots=True)
class Question:
    """The query of a steering request, as far as it can be used."""

    token: str = ""
    pathway: str | None = None


class Steer:
    """Answers players; counts why they were moved."""

    def __init__(
        self, settings: SteeringSettings, join: Join, clock: Clock, public_url: str | None = None
    ) -> None:
        """`public_url` is the manager's, for want of one for steering alone."""
        self.settings = settings
        self.reasons: Counter[str] = Counter()
        """Why viewers were sent where they were sent: one for each answer."""
        self.tokens_refused: Counter[str] = Counter()
        self._public_url = public_url
        self._join = join
        self._clock = clock
        self._board: Board | None = None
        self._charts: dict[str, Chart] = {}
        self._second = 0
        self._head = b""

    def configure(self, settings: SteeringSettings) -> None:
        """Go by other settings from now on."""
        self.settings = settings
        self._board = None

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/steer/{channel}", self._steer),
            web.options("/steer/{channel}", self._preflight),
        ]

    async def _preflight(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers=PREFLIGHT)

    async def _steer(self, request: web.Request) -> web.Response:
        channel = request.match_info["channel"]
        base = f"{request.scheme}://{request.host}"

        def region() -> str:
            return self._join.regions.of(request.remote or "", header_of(request))

        found = self.answer(channel, request.query_string, base, request.remote or "", region)
        if found is None:
            status = 503 if self._join.board().empty else 404
            headers = {**_HEADERS, **({"Retry-After": "2"} if status == 503 else {})}
            text = "no server has reported yet\n" if status == 503 else "there is no such channel\n"
            return web.Response(status=status, text=text, headers=headers)
        return web.Response(body=found, headers={**_HEADERS, "Content-Type": STEERING_TYPE})

    def answer(
        self, channel: str, query: str, base: str, peer: str, region: Callable[[], str]
    ) -> bytes | None:
        """The manifest; None for a channel that nobody knows.

        `base` is where the manager was asked, used where no public URL is set; `region` finds the
        region of whoever has no token.
        """
        question = read_question(query)
        claims = self._claims(question.token, channel)
        token = question.token if claims is not None else None
        mark = f"?session={token}" if token else ""
        home = self.settings.public_url or self._public_url or base
        reload_uri = f"{home}/steer/{channel}{mark}"
        if claims is not None:
            session, place, owner = claims.session, claims.region, claims.owner
        else:
            session, place, owner = question.token or peer, region(), None
        asker = Asker(session, place, question.pathway, owner)
        chart = self._chart(channel)
        course = chart.course(asker, self._clock.utc()) if chart is not None else None
        if chart is None or course is None:
            return self._kept(channel, asker, reload_uri)
        self.reasons[course.reason] += 1
        if claims is not None and course.moves_to is not None:
            self._take_room(channel, course.moves_to)
        return manifest(chart, course, asker, reload_uri, token)

    def wire(
        self, channel: str, query: str, base: str, peer: str, region: Callable[[], str]
    ) -> bytes | None:
        """The whole answer for the fast lane; None where there is something to explain."""
        body = self.answer(channel, query, base, peer, region)
        if body is None:
            return None
        second = int(time.time())
        if second != self._second:
            self._second, self._head = second, _head(second)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)

    def _kept(self, channel: str, asker: Asker, reload_uri: str) -> bytes | None:
        """Nobody shows the channel now: whoever plays stays, unless there is no such channel."""
        board = self._join.board()
        current = asker.current or asker.owner
        if current is None or not (board.empty or channel in board.channels):
            return None
        self.reasons["unknown"] += 1
        return keeping(current, reload_uri, self.settings.ttl_s)

    def _take_room(self, channel: str, target: Place) -> None:
        """Whoever is sent somewhere takes room there at once, as one who joins does."""
        if target.seat is not None:
            rates = self._join.board().rates[channel]
            target.seat.take(rates)
            self._join.pending.add(target.server, rates)

    def _chart(self, channel: str) -> Chart | None:
        board = self._join.board()
        if board is not self._board:
            self._board, self._charts = board, {}
        chart = self._charts.get(channel)
        if chart is None and channel in board.channels:
            chart = Chart(channel, board, self.settings, self._clock.now())
            self._charts[channel] = chart
        return chart

    def _claims(self, token: str, channel: str) -> Claims | None:
        if not token:
            return None
        try:
            return self._join.keyring.read(token, channel, self._clock.utc())
        except TokenRefused as error:
            self.tokens_refused[error.reason] += 1
            return None


def _head(second: int) -> bytes:
    """A 200 answer up to its length."""
    headers = {
        **_HEADERS,
        "Content-Type": STEERING_TYPE,
        "Date": formatdate(second, usegmt=True),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 200 OK\r\n{lines}Content-Length: ".encode()


def read_question(query: str) -> Question:
    """What can be used of a query; quotes around a pathway are optional (R53)."""
    try:
        values = dict(parse_qsl(query, max_num_fields=_FIELDS_MAX))
    except ValueError:
        return Question()
    pathway = values.get("_HLS_pathway", "").strip('"')
    named = pathway if _is_label(pathway) else None
    return Question(values.get("session", "")[: TOKEN_CHARACTERS_MAX + 1], named)


def _is_label(text: str) -> bool:
    return 0 < len(text) <= _PATHWAY_CHARACTERS_MAX and text.isprintable()
