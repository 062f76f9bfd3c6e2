"""`surgecast check URL`: watch a live stream from outside and list the rules it breaks.

Follows the multivariant playlist with all its renditions and, beside an `index.m3u8`, the adaptive
and the low-latency playlist; reloads as players do, downloads every new segment and part once, and
makes the requests a player never makes (`player.checking.oddities`, `player.checking.directives`).
"""

import asyncio
from dataclasses import dataclass, field
from itertools import chain
from urllib.parse import urljoin, urlsplit

import aiohttp

from player.checking.follow import Follower, Sleep, Tools
from player.checking.follow_parts import PartFollower
from player.checking.library import Library
from player.checking.notebook import Notebook
from player.checking.oddities import ask_oddities
from player.checking.probe import PREFLIGHT, Asker, Prober
from player.checking.report import CheckReport
from player.checking.steering import compare_pathways, follow_steering
from surgecast.clock import Clock, RealClock
from surgecast.errors import RemoteError
from surgecast.hls import rules_http as http
from surgecast.hls.observation import Finding, Kind, MediaView, MultivariantView
from surgecast.hls.rulebook import Look
from surgecast.hls.rules import check, view_of
from surgecast.hls.rules_low_latency import check_round_trip
from surgecast.hls.rules_media import check_rungs
from surgecast.hls.rules_playlist import check_adaptive, check_variants
from surgecast.hls.rules_steering import check_twins

ADAPTIVE, LOW_LATENCY = "adaptive.m3u8", "ll.m3u8"
_COMPARED_EVERY_S = 1.0


@dataclass(slots=True)
class Presentation:
    """A multivariant playlist, or a lone media playlist, with those who follow its renditions."""

    url: str
    followers: list[Follower]
    view: MultivariantView | None = None
    compared: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of segments that have been held against each other."""


class _Checker:
    """The whole check of one stream."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._presentations: list[Presentation] = []
        self._twins: list[Presentation] = []

    async def open(self, url: str, beside: bool, twin_url: str | None) -> None:
        """Find the media playlists. Raises RemoteError when a URL is no playlist."""
        kind = Kind.ADAPTIVE if _name(url) == ADAPTIVE else Kind.MULTIVARIANT
        first = await self._present(url, kind)
        self._presentations.append(first)
        if beside and first.view is not None and _name(url) not in (ADAPTIVE, LOW_LATENCY):
            await self._open_beside(url, first)
        if twin_url is not None:
            self._twins.append(await self._present(twin_url, kind))

    async def _open_beside(self, url: str, first: Presentation) -> None:
        """The server-switched playlist and that of low latency, where there are such."""
        adaptive = await self._beside(urljoin(url, ADAPTIVE), Kind.ADAPTIVE, "R27")
        if adaptive is not None:
            # Its segments are those of the ladder, so they are compared with them.
            first.followers += adaptive.followers
            await self._compare_ladder(first, adaptive)
        low_latency = await self._beside(urljoin(url, LOW_LATENCY), Kind.MULTIVARIANT, "R24")
        if low_latency is not None:
            self._presentations.append(low_latency)

    async def _compare_ladder(self, first: Presentation, adaptive: Presentation) -> None:
        """R27. A peak may be measured between the two playlists: what the adaptive one says must
        be true of the other as it was before, or as it is after."""
        if first.view is None or adaptive.view is None:
            return
        found = check_adaptive(adaptive.view, first.view.playlist)
        if found:
            answer = await self._tools.asker.get(first.url, Kind.MULTIVARIANT, gzip=True)
            after = view_of(answer) if answer.status == 200 else None
            if isinstance(after, MultivariantView):
                found = check_adaptive(adaptive.view, after.playlist)
        self._tools.notebook.add(found)

    async def _beside(self, url: str, kind: Kind, rule: str) -> Presentation | None:
        """None where there is nothing; what is there and cannot be read is a finding."""
        if (await self._tools.asker.get(url, kind)).status == 404:
            return None
        try:
            return await self._present(url, kind)
        except RemoteError as error:
            self._tools.notebook.add([Finding(rule, url, str(error))])
            return None

    async def _present(self, url: str, kind: Kind) -> Presentation:
        answer = await self._tools.asker.get(url, kind, gzip=True)
        if answer.status != 200:
            raise RemoteError(f"{url}: the server answers HTTP {answer.status}")
        view = view_of(answer)
        if isinstance(view, Finding):
            raise RemoteError(f"{url}: {view.what}")
        if isinstance(view, MediaView):
            if kind is Kind.ADAPTIVE:
                raise RemoteError(f"{url}: expected one variant, found a media playlist")
            follower = Follower(url, Kind.MEDIA, None, False, self._tools)
            await follower.look()
            return Presentation(url, [follower])
        notebook = self._tools.notebook
        notebook.count(Look.MULTIVARIANT)
        notebook.add(check(view, []))
        return Presentation(url, await self._variants(url, kind, view), view)

    async def _variants(self, url: str, kind: Kind, view: MultivariantView) -> list[Follower]:
        media = Kind.SESSION if kind is Kind.ADAPTIVE else Kind.MEDIA
        independent = view.playlist.independent_segments
        followers = [
            Follower(urljoin(url, variant.uri), media, variant, independent, self._tools)
            for variant in view.playlist.variants
        ]
        sizes = frozenset((v.width, v.height) for v in view.playlist.variants)
        for follower in followers:
            follower.sizes = sizes
        await asyncio.gather(*(self._first_look(follower) for follower in followers))
        for follower in followers:
            follower.renditions = [other.url for other in followers]
        seen = next((f.views[-1] for f in followers if f.views), None)
        if seen is not None:
            await self._headers(url, kind, seen.playlist.target_duration_s)
        return followers

    async def _first_look(self, follower: Follower) -> None:
        try:
            await follower.look()
        except RemoteError as error:
            self._tools.notebook.add([Finding("R24", follower.url, str(error))])

    async def _headers(self, url: str, kind: Kind, target_duration_s: int) -> None:
        answer = await self._tools.asker.get(url, kind, gzip=True)
        self._tools.notebook.add(http.check_response(answer, target_duration_s))
        preflight = await self._tools.asker.ask("OPTIONS", url, kind, PREFLIGHT)
        self._tools.notebook.add(http.check_options(preflight))
        self._tools.notebook.count(Look.ANSWER, Look.PREFLIGHT)

    # While it runs.

    async def run(self, until: float) -> None:
        """All playlists side by side, compared with each other now and then."""
        shown = [*self._presentations, *self._twins]
        async with asyncio.TaskGroup() as group:
            for follower in chain.from_iterable(one.followers for one in shown):
                group.create_task(self._follow(follower, until))
                if follower.views and follower.views[-1].playlist.segments:
                    group.create_task(self._ask_oddities(follower))
            for presentation in shown:
                if presentation.view is not None:
                    group.create_task(self._steer(presentation, presentation.view, until))
            group.create_task(self._compare(until))
        self._round_trips()

    async def _follow(self, follower: Follower, until: float) -> None:
        try:
            if follower.low_latency:
                await PartFollower(follower).run(until)
            else:
                await follower.run(until)
        finally:
            await follower.stop()

    async def _ask_oddities(self, follower: Follower) -> None:
        try:
            await ask_oddities(follower.views[-1], follower.kind, self._tools)
        except RemoteError as error:
            self._tools.notebook.add([Finding("R24", follower.url, str(error))])

    async def _steer(self, shown: Presentation, view: MultivariantView, until: float) -> None:
        try:
            await compare_pathways(view, shown.followers, self._tools)
        except RemoteError as error:
            self._tools.notebook.add([Finding("R54", shown.url, str(error))])
        await follow_steering(view, until, self._tools)

    async def _compare(self, until: float) -> None:
        while (now := self._tools.clock.now()) < until:
            await self._tools.sleep(max(0.0, min(_COMPARED_EVERY_S, until - now)))
            for presentation in self._presentations:
                self._compare_one(presentation)
            for twin in self._twins:
                self._compare_twin(self._presentations[0], twin)

    def _compare_one(self, shown: Presentation) -> None:
        """What variants must share, in playlists and in media."""
        views = [follower.views[-1] for follower in shown.followers if follower.views]
        notebook = self._tools.notebook
        notebook.count(Look.VARIANTS, times=len(views) > 1)
        notebook.add(check_variants(views))
        shared = [f.media for f in shown.followers if f.kind is Kind.MEDIA and f.media]
        by_msn = {media.msn: media for media in shared[0]} if shared else {}
        for other in chain.from_iterable(shared[1:]):
            one = by_msn.get(other.msn)
            if one is not None and (one.url, other.url) not in shown.compared:
                shown.compared.add((one.url, other.url))
                notebook.count(Look.RUNGS)
                notebook.add(check_rungs(one, other))

    def _compare_twin(self, shown: Presentation, twin: Presentation) -> None:
        for one, other in zip(shown.followers, twin.followers, strict=False):
            if one.views and other.views:
                self._tools.notebook.count(Look.TWIN)
                self._tools.notebook.add(check_twins(one.views[-1], other.views[-1]))

    def _round_trips(self) -> None:
        notebook = self._tools.notebook
        followers = chain.from_iterable(shown.followers for shown in self._presentations)
        for follower in followers:
            if follower.low_latency:
                view = follower.views[-1]
                notebook.count(Look.ROUND_TRIP, times=len(notebook.round_trips_s))
                notebook.add(check_round_trip(view, notebook.round_trips_s))


def _name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


async def check_stream(
    url: str,
    seconds: float,
    clock: Clock | None = None,
    *,
    beside: bool = True,
    twin_url: str | None = None,
    sleep: Sleep = asyncio.sleep,
) -> CheckReport:
    """Watch `url` for `seconds` and report what breaks the rules.

    `beside`: look for the adaptive and the low-latency playlist next to it. `twin_url`: the same
    stream at another origin. Raises RemoteError when a URL is not a playlist that can be had.
    """
    clock = clock or RealClock()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        asker = Prober(session, clock)
        return await check_with(
            asker, url, seconds, clock, beside=beside, twin_url=twin_url, sleep=sleep
        )


async def check_with(
    asker: Asker,
    url: str,
    seconds: float,
    clock: Clock,
    *,
    beside: bool = True,
    twin_url: str | None = None,
    sleep: Sleep = asyncio.sleep,
) -> CheckReport:
    """As `check_stream`, whoever asks."""
    began = clock.now()
    notebook = Notebook()
    tools = Tools(asker, notebook, Library(asker, notebook), clock, sleep)
    checker = _Checker(tools)
    await checker.open(url, beside, twin_url)
    await checker.run(began + seconds)
    return CheckReport(url, clock.now() - began, dict(notebook.findings), dict(notebook.looks))
