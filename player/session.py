"""One viewing, from URL to report: puts tracker, fetcher, buffer and ABR together.

One loop decides everything; at most one playlist load and one segment download run beside it.
It learns of their ends, or of `TICK_S` having passed, in one place (`wait`), which tests replace
by a manual clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp

from player.abr import BandwidthEstimate, choose
from player.buffer import Buffered, PlaybackBuffer, State
from player.fetcher import Body, Fetcher, FetchError, Limits
from player.report import Report
from player.tally import Tally
from player.tracker import Fetch, Tracker
from surgecast.clock import Clock, RealClock
from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist, Variant
from surgecast.hls.parse import parse, parse_media
from surgecast.hls.ts import PACKET_BYTES

TICK_S = 0.25
"""How often latency is sampled and a live view is told."""
ROOM_S = 30.0
"""Media held at most; a live window is shorter, an ended stream is not."""
GIVE_UP_S = 20.0
"""Without a usable playlist for this long the stream is over."""

Tasks = set[asyncio.Task[Any]]
Wait = Callable[[Tasks, float], Awaitable[None]]
T = TypeVar("T")
OnUpdate = Callable[[Report], None]


@dataclass(frozen=True, slots=True)
class Options:
    """`threshold_s`: media needed before the picture starts, and after each stall."""

    threshold_s: float = 1.0
    """Of plain playing; in low latency it follows from the hold-back."""
    abr: bool = True
    limits: Limits = field(default_factory=Limits)
    give_up_s: float = GIVE_UP_S


async def wait_real(tasks: Tasks, seconds: float) -> None:
    """Until one of `tasks` is done or `seconds` have passed."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(seconds)


async def play(
    url: str,
    seconds: float | None,
    clock: Clock | None = None,
    on_update: OnUpdate | None = None,
    options: Options | None = None,
    wait: Wait = wait_real,
) -> Report:
    """Watch `url` for `seconds` (None: to its end) and say what it was like.

    Raises RemoteError when the stream could not even be opened. A stream that broke later ends
    the viewing early, with the reason in `Report.error`.
    """
    clock, options = clock or RealClock(), options or Options()
    async with aiohttp.ClientSession() as http:
        viewing = _Viewing(url, Fetcher(http, clock, options.limits), clock, options, wait)
        try:
            await viewing.open()
            await viewing.run(seconds, on_update)
        finally:
            await viewing.close()
        return viewing.report()


class _Viewing:
    def __init__(
        self, url: str, fetcher: Fetcher, clock: Clock, options: Options, wait: Wait
    ) -> None:
        self._url = url
        self._fetcher = fetcher
        self._clock = clock
        self._options = options
        self._wait = wait
        self._began_at = clock.now()
        self._buffer = PlaybackBuffer(clock.now(), options.threshold_s)
        self._estimate = BandwidthEstimate()
        self._variants: dict[str, Variant] = {}
        self._tracker = Tracker(url)
        self._reload_at = clock.now()
        self._usable_at = clock.now()
        self._loading: asyncio.Task[Body] | None = None
        self._loading_url = url
        self._loading_since = clock.now()
        self._fetching: asyncio.Task[Body] | None = None
        self._fetch: Fetch | None = None
        self._tally = Tally()
        self._error: str | None = None

    async def open(self) -> None:
        """Load the first playlist, and through it learn the variants. Raises RemoteError."""
        body = await self._fetcher.get(self._url)
        playlist = parsed(body, parse)
        if isinstance(playlist, MediaPlaylist):
            self._tracker = Tracker(body.url)
            self._take_playlist(playlist, self._began_at)
            return
        assert isinstance(playlist, MultivariantPlaylist)
        self._variants = {urljoin(body.url, v.uri): v for v in playlist.variants}
        first = choose(playlist.variants, self._estimate.bps(), None)
        self._tracker = Tracker(urljoin(body.url, first.uri))
        started = self._clock.now()
        media = await self._fetcher.get(self._tracker.url)
        self._take_playlist(parsed(media, parse_media), started)

    async def run(self, seconds: float | None, on_update: OnUpdate | None) -> None:
        """Until the time is up, the stream has ended or it cannot be had any more."""
        end_at = None if seconds is None else self._began_at + seconds
        while not self._over(end_at):
            self._start_work()
            await self._wait(self._tasks(), self._pause_s(end_at))
            self._finish_work()
            self._sample()
            if on_update:
                on_update(self.report())

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def report(self) -> Report:
        """The viewing so far."""
        elapsed_s = self._clock.now() - self._began_at
        bps, errors = self._estimate.bps(), self._fetcher.errors
        return self._tally.report(self._url, elapsed_s, self._buffer, bps, errors, self._error)

    def _over(self, end_at: float | None) -> bool:
        timed_out = end_at is not None and self._clock.now() >= end_at
        return timed_out or self._error is not None or self._buffer.state is State.ENDED

    def _tasks(self) -> Tasks:
        return {task for task in (self._loading, self._fetching) if task is not None}

    def _pause_s(self, end_at: float | None) -> float:
        now = self._clock.now()
        moments = [now + TICK_S] if end_at is None else [now + TICK_S, end_at]
        if self._loading is None and not self._tracker.ended:
            moments.append(self._reload_at)
        return max(0.0, min(moments) - now)

    def _start_work(self) -> None:
        now = self._clock.now()
        if self._loading is None and not self._tracker.ended and now >= self._reload_at:
            self._loading_url, self._loading_since = self._tracker.url, now
            self._loading = asyncio.create_task(self._fetcher.get(self._tracker.url))
        if self._fetching is None and self._buffer.buffered_s < ROOM_S:
            self._fetch = self._tracker.take()
            if self._fetch is not None:
                self._fetching = asyncio.create_task(self._fetcher.get(self._fetch.url))
            elif self._tracker.ended and self._buffer.state is not State.ENDED:
                self._buffer.finish(now)

    def _finish_work(self) -> None:
        if self._loading is not None and self._loading.done():
            task, self._loading = self._loading, None
            self._loaded(task)
        if self._fetching is not None and self._fetching.done():
            task, self._fetching = self._fetching, None
            self._fetched(task)

    def _loaded(self, task: asyncio.Task[Body]) -> None:
        """A playlist came, or did not: then try again until it has been too long."""
        try:
            playlist = parsed(task.result(), parse_media)
        except RemoteError as error:
            now = self._clock.now()
            self._reload_at = now + 1.0
            if not isinstance(error, FetchError):
                self._fetcher.errors["bad playlist"] += 1
            if now - self._usable_at >= self._options.give_up_s:
                self._error = f"no playlist for {now - self._usable_at:.0f} s; last: {error}"
            return
        if self._loading_url == self._tracker.url:
            self._take_playlist(playlist, self._loading_since)

    def _take_playlist(self, playlist: MediaPlaylist, loaded_at: float) -> None:
        update = self._tracker.update(playlist, loaded_at)
        self._reload_at = update.reload_at
        self._usable_at = self._clock.now()
        self._tally.anomalies.update(anomaly.kind.value for anomaly in update.anomalies)

    def _fetched(self, task: asyncio.Task[Body]) -> None:
        """A segment came, or did not: then the picture jumps over it."""
        fetch, now = self._fetch, self._clock.now()
        assert fetch is not None
        try:
            body = task.result()
        except FetchError:
            self._tally.anomalies["segment given up"] += 1
            return
        if urlsplit(fetch.url).path.endswith(".ts") and len(body.data) % PACKET_BYTES:
            self._fetcher.errors["truncated"] += 1
            self._tally.anomalies["segment given up"] += 1
            return
        rung = rung_of(fetch.url, self._variants.get(self._tracker.url))
        self._tally.media(rung, len(body.data))
        moment = fetch.program_date_time
        start_utc = None if moment is None else moment.timestamp()
        self._buffer.append(Buffered(fetch.duration_s, start_utc, rung), now)
        self._estimate.sample(len(body.data), body.seconds)
        self._adapt()

    def _adapt(self) -> None:
        """Between two segments, choose the variant the next one comes from."""
        if not self._options.abr or len(self._variants) < 2:
            return
        current = self._variants.get(self._tracker.url)
        best = choose(list(self._variants.values()), self._estimate.bps(), current)
        if best is not current:
            self._tracker.switch(next(u for u, v in self._variants.items() if v is best))
            self._reload_at = self._clock.now()

    def _sample(self) -> None:
        self._buffer.advance(self._clock.now())
        self._tally.sample(self._buffer, self._clock.utc())


def parsed(body: Body, parser: Callable[[str], T]) -> T:
    """What `parser` makes of an answer. Raises RemoteError that names its URL."""
    try:
        return parser(body.data.decode("utf-8"))
    except (RemoteError, UnicodeDecodeError) as error:
        raise RemoteError(f"{body.url}: {error}") from error


def rung_of(segment_url: str, variant: Variant | None) -> str:
    """The rung a segment belongs to, as people name it.

    surgecast names it in the path (`/live/{channel}/{rung}/{epoch}-{msn}.ts`), which alone tells
    what a server that switches by itself has sent, with `ll` before the rung in low latency;
    elsewhere it is the variant's resolution.
    """
    parts = urlsplit(segment_url).path.split("/")
    plain, low_latency = parts[-4:-3] == ["live"], parts[-5:-4] == ["live"] and parts[-3] == "ll"
    if plain or low_latency:
        return parts[-2]
    if variant is not None and variant.height is not None:
        return f"{variant.width}x{variant.height}"
    return "only" if variant is None else f"{variant.peak_bps} bit/s"
