"""One low-latency viewing, from URL to report: the live edge, part by part.

Like `player.session` it is one loop that decides everything; a playlist request that the server
holds until there is news, and a few downloads, run beside it. What to fetch is decided by
`player.part_tracker`, how fast to play by `player.pace`.
"""

import asyncio
from dataclasses import replace
from urllib.parse import urljoin

import aiohttp

from player import pace
from player.abr import BandwidthEstimate, choose
from player.buffer import Buffered, PlaybackBuffer, State
from player.downloads import Arrived, Downloads, give_up
from player.fetcher import Body, Fetcher, FetchError
from player.part_tracker import Kind, PartTracker, Reload, hold_back_s, why_plain, with_directives
from player.report import LowLatency, Report
from player.session import (
    TICK_S,
    OnUpdate,
    Options,
    Tasks,
    Wait,
    parsed,
    play,
    rung_of,
    wait_real,
)
from player.tally import Tally
from player.tracker import AnomalyKind
from surgecast.clock import Clock, RealClock
from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist, MultivariantPlaylist, Variant
from surgecast.hls.parse import parse, parse_media

HELD_TARGETS = 3
"""Target durations a server may hold a request before it answers 503 (rule R39)."""
PAUSE_S = 0.5
"""Before the next look after one that failed; the fetcher has paused and retried before that."""


async def play_low_latency(
    url: str,
    seconds: float | None,
    clock: Clock | None = None,
    on_update: OnUpdate | None = None,
    options: Options | None = None,
    wait: Wait = wait_real,
) -> Report:
    """As `player.session.play`, close to the live edge; plainly where the URL does not allow it,
    with the reason in `Report.plain_because`. Raises RemoteError when it cannot be opened."""
    clock, options = clock or RealClock(), options or Options()
    async with aiohttp.ClientSession() as http:
        fetcher = Fetcher(http, clock, options.limits)
        viewing = _LowLatencyViewing(url, fetcher, clock, options, wait)
        try:
            reason = await viewing.open()
            if reason is None:
                await viewing.run(seconds, on_update)
        finally:
            await viewing.close()
    if reason is None:
        return viewing.report()
    report = await play(url, seconds, clock, on_update, options, wait)
    return replace(report, plain_because=reason)


class _LowLatencyViewing:
    def __init__(
        self, url: str, fetcher: Fetcher, clock: Clock, options: Options, wait: Wait
    ) -> None:
        self._url = url
        self._fetcher = fetcher
        self._clock = clock
        self._options = options
        self._wait = wait
        self._began_at = self._news_at = self._reload_at = self._sampled_at = clock.now()
        self._buffer = PlaybackBuffer(clock.now(), options.threshold_s)
        self._downloads = Downloads(fetcher)
        self._estimate = BandwidthEstimate()
        self._tally = Tally()
        self._variants: dict[str, Variant] = {}
        self._tracker = PartTracker(url)
        self._seen = LowLatency(0.0, 0.0)
        self._asked = Reload(url)
        self._asked_at = clock.now()
        self._loading: asyncio.Task[Body] | None = None
        self._error: str | None = None

    async def open(self) -> str | None:
        """Load the first playlists; why it cannot be played with low latency, None where it can."""
        body = await self._fetcher.get(self._url)
        playlist = parsed(body, parse)
        if isinstance(playlist, MultivariantPlaylist):
            self._variants = {urljoin(body.url, v.uri): v for v in playlist.variants}
            first = choose(playlist.variants, self._estimate.bps(), None)
            body = await self._fetcher.get(urljoin(body.url, first.uri))
            playlist = parsed(body, parse_media)
        if (reason := why_plain(playlist)) is not None:
            return reason
        self._tracker = PartTracker(body.url)
        self._asked, self._asked_at = Reload(body.url), self._clock.now()
        self._take_playlist(playlist)
        return None

    async def run(self, seconds: float | None, on_update: OnUpdate | None) -> None:
        """Until the time is up, the stream has ended or it cannot be had any more."""
        end_at = None if seconds is None else self._began_at + seconds
        while not self._over(end_at):
            self._start_work()
            await self._wait(self._tasks(), self._pause_s(end_at))
            self._finish_work()
            self._keep_pace()
            self._sample()
            if on_update:
                on_update(self.report())

    async def close(self) -> None:
        """Cancel what still runs and wait for it."""
        tasks = self._downloads.tasks() | self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def report(self) -> Report:
        """The viewing so far."""
        errors = self._fetcher.errors
        seen = replace(
            self._seen,
            hints_used=self._downloads.hints_used,
            hints_unused=self._downloads.hints_unused,
            unavailable=errors["HTTP 503"],
        )
        elapsed_s, bps = self._clock.now() - self._began_at, self._estimate.bps()
        return self._tally.report(
            self._url, elapsed_s, self._buffer, bps, errors, self._error, seen
        )

    def _over(self, end_at: float | None) -> bool:
        timed_out = end_at is not None and self._clock.now() >= end_at
        return timed_out or self._error is not None or self._buffer.state is State.ENDED

    def _tasks(self) -> Tasks:
        return self._downloads.awaited() | ({self._loading} if self._loading else set())

    def _pause_s(self, end_at: float | None) -> float:
        now = self._clock.now()
        moments = [now + TICK_S] if end_at is None else [now + TICK_S, end_at]
        if self._loading is None and not self._tracker.ended:
            moments.append(self._reload_at)
        return max(0.0, min(moments) - now)

    def _start_work(self) -> None:
        now = self._clock.now()
        if self._loading is not None and self._asked.url != self._tracker.url:
            give_up(self._loading)
            self._loading = None
        if self._loading is None and not self._tracker.ended and now >= self._reload_at:
            self._asked, self._asked_at = self._tracker.reload(now), now
            held_s = self._downloads.held_s if self._asked.blocking else 0.0
            load = self._fetcher.get(with_directives(self._asked), held_s)
            self._loading = asyncio.create_task(load)
        while (piece := self._tracker.take()) is not None:
            self._downloads.add(piece)
        self._downloads.ask_ahead(self._tracker.hint)
        self._downloads.start()
        if self._tracker.ended and self._downloads.idle:
            self._buffer.finish(now)

    def _finish_work(self) -> None:
        if self._loading is not None and self._loading.done():
            task, self._loading = self._loading, None
            self._loaded(task)
        for arrived in self._downloads.arrived():
            self._take_media(arrived)

    def _loaded(self, task: asyncio.Task[Body]) -> None:
        """A playlist came, or did not: then try again until it has been too long."""
        try:
            self._take_playlist(parsed(task.result(), parse_media))
        except RemoteError as error:
            now = self._clock.now()
            self._reload_at = now + PAUSE_S
            if not (isinstance(error, FetchError) and error.status == 503):
                # What is known may be what is wrong: an answer without conditions comes next.
                self._tracker.forget()
            if not isinstance(error, FetchError):
                self._fetcher.errors["bad playlist"] += 1
            if now - self._news_at >= self._options.give_up_s:
                self._error = f"no playlist for {now - self._news_at:.0f} s; last: {error}"

    def _take_playlist(self, playlist: MediaPlaylist) -> None:
        anomalies = self._tracker.update(playlist, self._asked_at, self._asked)
        now = self._clock.now()
        part_target_s = playlist.part_target_s or self._seen.part_target_s
        self._tally.anomalies.update(anomaly.kind.value for anomaly in anomalies)
        useless = {AnomalyKind.UNCHANGED, AnomalyKind.STALE}
        if any(anomaly.kind in useless for anomaly in anomalies):
            self._reload_at = now + part_target_s / 2
        else:
            self._news_at = self._reload_at = now
        self._downloads.held_s = float(HELD_TARGETS * playlist.target_duration_s)
        self._seen = replace(
            self._seen,
            part_target_s=part_target_s,
            hold_back_s=hold_back_s(playlist),
            blocked_reloads=self._seen.blocked_reloads + self._asked.blocking,
            delta_updates=self._seen.delta_updates + (playlist.skipped_segments > 0),
        )

    def _take_media(self, arrived: Arrived) -> None:
        """A piece came, or did not: then the picture jumps over it."""
        piece, body = arrived.piece, arrived.body
        if body is None:
            self._tally.anomalies[f"{piece.kind.value} given up"] += 1
            if piece.kind is Kind.INIT:
                self._error = f"{piece.url}: nothing can be decoded without it"
            return
        if piece.kind is Kind.INIT:
            return
        rung = rung_of(piece.url, self._variants.get(self._tracker.url))
        self._tally.media(rung, len(body.data))
        self._seen = replace(self._seen, parts=self._seen.parts + (piece.kind is Kind.PART))
        if piece.shown_s > 0:
            moment = piece.shown_from
            start_utc = None if moment is None else moment.timestamp()
            self._buffer.append(Buffered(piece.shown_s, start_utc, rung), self._clock.now())
        self._estimate.sample(len(body.data), body.transfer_s)
        self._adapt()

    def _adapt(self) -> None:
        """Choose the variant the next segment comes from."""
        if not self._options.abr or len(self._variants) < 2:
            return
        current = self._variants.get(self._tracker.url)
        best = choose(list(self._variants.values()), self._estimate.bps(), current)
        self._tracker.switch(next(u for u, v in self._variants.items() if v is best))

    def _keep_pace(self) -> None:
        """Stay as far from the live edge as the server asks, by speed or, far behind, by a jump."""
        now, seen = self._clock.now(), self._seen
        stalls = len(self._buffer.stalls)
        wanted_s = pace.wanted_distance_s(seen.hold_back_s, seen.part_target_s, stalls)
        self._buffer.threshold_s = max(seen.part_target_s, wanted_s - seen.part_target_s)
        if self._buffer.state is not State.PLAYING or self._tracker.ended:
            return
        listed_s = self._buffer.buffered_s + self._downloads.pending_s
        distance_s = listed_s + now - self._news_at
        jump_s = pace.jump_s(distance_s, wanted_s)
        if jump_s and self._downloads.idle:
            distance_s -= self._buffer.skip(jump_s, now)
            self._seen = replace(self._seen, jumps=self._seen.jumps + 1)
        rate = pace.rate(distance_s, wanted_s, seen.part_target_s)
        self._buffer.set_rate(rate, now)
        self._seen = replace(self._seen, rate=rate)

    def _sample(self) -> None:
        now = self._clock.now()
        self._buffer.advance(now)
        if now - self._sampled_at >= TICK_S / 2:
            self._sampled_at = now
            self._tally.sample(self._buffer, self._clock.utc())
