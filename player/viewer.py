"""One viewer as values: answers and time go in, requests come out. No IO, no clock.

    asks(now) -> requests to make      answered(ask, answer, now)      wake_at(now)

Whoever does the IO makes the requests it is given, hands back what came, and looks again at
`wake_at`. `surgecast play` does that for one viewer (`player.session`), `surgecast swarm` for
thousands (`player.swarm.crowd`): one place decides what a player does, above all when something
fails (`player.failover`) or when it is to go elsewhere (`player.pathways`).
"""

from dataclasses import dataclass, field, replace
from urllib.parse import urljoin, urlsplit, urlunsplit

from player import pace
from player.abr import BandwidthEstimate, choose
from player.asking import Answer, Ask, Habits
from player.buffer import Buffered, PlaybackBuffer, State
from player.failover import Action, Possible, Verdict, Wanted, decide, failure_of, idle_s
from player.feeds import Feed, PartFeed, PlainFeed
from player.line import Item, Line
from player.part_tracker import Kind, Reload, why_plain
from player.pathways import TTL_S, Pathways, SteeringManifest, steering_request
from player.report import LowLatency, Report
from player.rungs import rung_of
from player.sync import ServerClock, sync_jump_s, sync_rate
from player.tally import Tally
from surgecast.errors import RemoteError
from surgecast.hls.model import MediaPlaylist, Variant
from surgecast.hls.ts import PACKET_BYTES

ROOM_S = 30.0
"""Media held at most; a live window is shorter, an ended stream is not."""
REJOIN_EVERY_S = 5.0
"""A stream is opened again no more often than this."""
CARRIED = 0.5
"""Of a segment that did not come in time, so much may have: the estimate has to learn of it."""


@dataclass(slots=True)
class _Steering:
    """When to ask where to go. `url` is None where nobody is to be asked."""

    url: str | None = None
    at: float = 0.0
    ttl_s: float = TTL_S
    asked: Ask | None = None


@dataclass(slots=True)
class _Failures:
    """In a row, by what was wanted."""

    entry: int = 0
    playlist: int = 0
    rejoined_at: float = field(default=-REJOIN_EVERY_S)


class Viewer:
    """One viewing of `url`, from `now` on."""

    def __init__(self, url: str, habits: Habits, now: float) -> None:
        self.url = url
        self.habits = habits
        self.buffer = PlaybackBuffer(now, habits.threshold_s)
        self.tally = Tally()
        self.estimate = BandwidthEstimate()
        self.clock = ServerClock()
        self.error: str | None = None
        self.plain_because: str | None = None
        self.pathways: Pathways | None = None
        self.line = Line()
        self.feed: Feed | None = None
        self.jumps = 0
        self.rate = 1.0
        self.server = ""
        """Who answers playlists now."""
        self._variant: Variant | None = None
        self._key = ""
        self._opening = True
        self._entry: Ask | None = None
        self._entry_at = now
        self._loading: Ask | None = None
        self._steering = _Steering()
        self._failures = _Failures()
        self._usable_at = now
        self._dropped: list[Ask] = []
        self._ahead: Ask | None = None

    # What to do.

    @property
    def over(self) -> bool:
        """True where nothing will come of it any more."""
        return self.error is not None or self.buffer.state is State.ENDED

    def asks(self, now: float) -> list[Ask]:
        """Requests to make now."""
        self.buffer.advance(now)
        if self.over:
            return []
        if self._opening:
            return self._ask_entry(now)
        return [*self._ask_steering(now), *self._ask_playlist(now), *self._ask_media(now)]

    def dropped(self) -> list[Ask]:
        """Requests whose answers nobody wants any more, each told once."""
        found, self._dropped = self._dropped, []
        return found

    def wake_at(self, now: float) -> float:
        """When to look again where nothing is answered before."""
        if self._opening:
            return self._entry_at if self._entry is None else float("inf")
        assert self.feed is not None
        moments = [self.line.due_at(self.feed.parallel)]
        if self._loading is None:
            moments.append(self.feed.reload_at)
        if self._steering.asked is None and self._steering.url is not None:
            moments.append(self._steering.at)
        if self.feed.ended or self.buffer.buffered_s >= ROOM_S:
            moments.append(now + max(0.1, min(1.0, self.buffer.buffered_s)))
        return min(moments)

    # What came.

    def answered(self, ask: Ask, answer: Answer, now: float) -> None:
        """Take what came of `ask`; nothing of what was dropped."""
        self.buffer.advance(now)
        if answer.date_utc is not None and answer.good:
            self.clock.saw(answer.date_utc, ask.at, now)
        if not answer.good:
            self.tally.request_errors[answer.error or f"HTTP {answer.status}"] += 1
        if ask is self._entry:
            self._entry = None
            self._entered(ask, answer, now)
        elif ask is self._loading:
            self._loading = None
            self._loaded(ask, answer, now)
        elif ask is self._steering.asked:
            self._steering.asked = None
            self._steered(answer, now)
        elif ask.item is not None:
            self._fetched(ask, ask.item, answer, now)

    def play_on(self, now: float, utc: float) -> None:
        """Let the picture go on until now, at the pace it should have, and note its latency."""
        self.buffer.advance(now)
        self.clock.guess(utc - now)
        if self.habits.sync:
            self._keep_in_sync(now)
        elif isinstance(self.feed, PartFeed):
            self._keep_pace(self.feed, now)
        self.tally.sample(self.buffer, utc)

    def report(self, elapsed_s: float) -> Report:
        """The viewing so far."""
        seen = None
        if isinstance(self.feed, PartFeed):
            seen = LowLatency(
                self.feed.part_target_s,
                self.feed.hold_back_s,
                parts=self.tally.parts,
                blocked_reloads=self.tally.blocked_reloads,
                delta_updates=self.tally.delta_updates,
                hints_used=self.line.hints_used,
                hints_unused=self.line.hints_unused,
                unavailable=self.tally.request_errors["HTTP 503"],
                jumps=self.jumps,
                rate=self.rate,
            )
        bps = self.estimate.bps()
        sync_s = self.sync_target_s if self.habits.sync else None
        report = self.tally.report(self.url, elapsed_s, self.buffer, bps, self.error, seen, sync_s)
        return replace(report, plain_because=self.plain_because)

    # The entry.

    def _ask_entry(self, now: float) -> list[Ask]:
        if self._entry is not None or now < self._entry_at:
            return []
        again = self.feed is not None
        wanted = Wanted.REJOIN if again else Wanted.ENTRY
        total_s = self.habits.total_s
        self._entry = Ask(wanted, self.url, total_s, total_s, now)
        return [self._entry]

    def _entered(self, ask: Ask, answer: Answer, now: float) -> None:
        content = answer.content
        if not answer.good or isinstance(content, SteeringManifest) or content is None:
            self._entry_failed(ask, answer, now)
            return
        self._failures.entry = 0
        self._opening = False
        if isinstance(content, MediaPlaylist):
            self.pathways = None
            self._follow(answer.url, now)
            self._took(content, Reload(answer.url), answer, ask.at, now)
            return
        self.pathways = Pathways(content, answer.url)
        self._steering = _Steering(self.pathways.steering_url, now)
        variants = [copy.variant for copy in self.pathways.copies]
        first = choose(variants, self.estimate.bps(), self._variant)
        self._choose(first)
        self._follow(self.pathways.copy(self._key).url, now)

    def _entry_failed(self, ask: Ask, answer: Answer, now: float) -> None:
        self._failures.entry += 1
        failure = failure_of(answer.status, answer.error)
        verdict = decide(ask.wanted, failure, self._failures.entry, Possible())
        if verdict.action is Action.GIVE_UP or self._waited_too_long(now):
            self._end(answer, now)
            return
        self._entry_at = now + max(verdict.pause_s, answer.retry_after_s)

    def _follow(self, url: str, now: float) -> None:
        if self.feed is None:
            kind = PartFeed if self.habits.low_latency else PlainFeed
            self.feed = kind(url, now)
        else:
            self.feed.switch(url, now)
            self.feed.put_off(now)
            self.line.rebase(url)

    # Playlists.

    def _ask_playlist(self, now: float) -> list[Ask]:
        feed = self.feed
        assert feed is not None
        if self._loading is not None and self._loading.base != feed.url:
            self._dropped.append(self._loading)
            self._loading = None
        if self._loading is not None or now < feed.reload_at:
            return []
        url, reload = feed.reload(now)
        held_s = feed.held_s if reload.blocking else 0.0
        total_s = self.habits.total_s + held_s
        heir_s = 0.0 if urlsplit(url).netloc == self.server else feed.heir_s
        elsewhere = self._elsewhere(now)
        idle = held_s + idle_s(self.buffer.buffered_s, self.habits.total_s, elsewhere, heir_s)
        self._loading = Ask(
            Wanted.PLAYLIST, url, min(idle, total_s), total_s, now, feed.url, reload=reload
        )
        return [self._loading]

    def _loaded(self, ask: Ask, answer: Answer, now: float) -> None:
        feed, content = self.feed, answer.content
        assert feed is not None and ask.reload is not None
        if not answer.good or not isinstance(content, MediaPlaylist):
            self._playlist_failed(answer, now)
            return
        if (new := _redirected(feed.url, ask.url, answer.url)) is not None:
            feed.move(new, now)
            self.line.rebase(new)
        try:
            self._took(content, ask.reload, answer, ask.at, now)
        except RemoteError as error:
            feed.forget()
            self.tally.request_errors["bad playlist"] += 1
            failed = Answer(answer.url, 200, "bad playlist", str(error))
            self._playlist_failed(failed, now)

    def _took(
        self, playlist: MediaPlaylist, asked: Reload, answer: Answer, at: float, now: float
    ) -> None:
        assert self.feed is not None
        if isinstance(self.feed, PartFeed) and not self.feed.part_target_s:
            self.plain_because = why_plain(playlist)
            if self.plain_because is not None:
                self.feed = PlainFeed(self.feed.url, now)
        anomalies = self.feed.take_playlist(playlist, asked, at, now)
        self.tally.anomalies.update(anomaly.kind.value for anomaly in anomalies)
        self.tally.low_latency_reload(asked.blocking, playlist.skipped_segments > 0)
        self._failures.playlist = 0
        self._usable_at = now
        server = urlsplit(answer.url).netloc
        self.tally.moves += bool(self.server) and server != self.server
        self.server = server

    def _playlist_failed(self, answer: Answer, now: float) -> None:
        feed = self.feed
        assert feed is not None
        if self._waited_too_long(now):
            self._end(answer, now)
            return
        self._failures.playlist += 1
        if answer.status != 503:
            feed.forget()
        verdict = self._verdict(Wanted.PLAYLIST, answer, self._failures.playlist, now)
        if verdict.action is Action.NEXT_PATHWAY:
            self._go_elsewhere(now)
        elif verdict.action in (Action.REJOIN, Action.REJOIN_ELSEWHERE):
            self._failures.rejoined_at = self._entry_at = now
            self._opening = True
            self.tally.rejoins += 1
        else:
            feed.put_off(now + max(verdict.pause_s, answer.retry_after_s))

    # Media.

    def _ask_media(self, now: float) -> list[Ask]:
        feed = self.feed
        assert feed is not None
        while self._has_room(feed) and (piece := feed.take()) is not None:
            self.line.add(piece, feed.url)
        asks = [self._media(item, now) for item in self.line.due(feed.parallel, now)]
        asks += self._ask_ahead(feed, now)
        if feed.ended and not self.line and self.buffer.state is not State.ENDED:
            self.buffer.finish(now)
        return asks

    def _has_room(self, feed: Feed) -> bool:
        if isinstance(feed, PartFeed):
            return True
        return not self.line and self.buffer.buffered_s < ROOM_S

    def _ask_ahead(self, feed: Feed, now: float) -> list[Ask]:
        new, old = self.line.hint(feed.hint, feed.url)
        if old is not None and self._ahead is not None:
            self._dropped.append(self._ahead)
        if new is None:
            return []
        self._ahead = self._media(new, now, feed.held_s)
        return [self._ahead]

    def _media(self, item: Item, now: float, held_s: float = 0.0) -> Ask:
        total_s = self.habits.total_s + held_s
        idle = held_s + idle_s(self.buffer.buffered_s, self.habits.total_s, self._elsewhere(now))
        return Ask(Wanted.MEDIA, item.url, min(idle, total_s), total_s, now, item.base, item)

    def _fetched(self, ask: Ask, item: Item, answer: Answer, now: float) -> None:
        item.under_way = False
        if answer.good and not _is_whole(ask.url, answer.size_bytes):
            self.tally.request_errors["truncated"] += 1
            answer = Answer(answer.url, 200, "not whole packets")
        if answer.good:
            whole = item.piece is None or item.piece.kind is Kind.SEGMENT
            item.size_bytes = answer.size_bytes
            item.seconds = answer.seconds if whole else answer.transfer_s
        elif item.piece is None:
            item.given_up = True
        else:
            self._media_failed(ask, item, answer, now)
        for ready in self.line.arrived():
            self._take(ready, now)

    def _media_failed(self, ask: Ask, item: Item, answer: Answer, now: float) -> None:
        feed = self.feed
        assert feed is not None and item.piece is not None
        if item.ahead:
            item.ahead = False
            self.line.hints_unused += 1
            return
        item.tries += 1
        if urlsplit(ask.base).netloc != urlsplit(feed.url).netloc:
            item.rebase(feed.url)  # The viewer has moved since: that was the old server.
            return
        verdict = self._verdict(Wanted.MEDIA, answer, item.tries, now)
        if verdict.action is Action.NEXT_PATHWAY:
            self._go_elsewhere(now)
            item.rebase(feed.url)
        elif verdict.action is Action.STEP_DOWN:
            assert self._variant is not None
            carried_bytes = self._variant.peak_bps / 8 * item.piece.duration_s * CARRIED
            self.estimate.sample(int(carried_bytes), ask.total_s)
            self.line.drop(item)
            self._step_down(item.piece.msn, now)
        elif verdict.action is Action.RETRY:
            item.not_before = now + max(verdict.pause_s, answer.retry_after_s)
        else:
            item.given_up = True

    def _take(self, item: Item, now: float) -> None:
        """A piece came, or did not: then the picture jumps over it."""
        piece = item.piece
        assert piece is not None
        if item.size_bytes is None:
            self.tally.anomalies[f"{piece.kind.value} given up"] += 1
            if piece.kind is Kind.INIT:
                self.error = f"{piece.url}: nothing can be decoded without it"
            return
        if piece.kind is Kind.INIT:
            return
        rung = rung_of(piece.url, self._variant)
        self.tally.media(rung, item.size_bytes, is_part=piece.kind is Kind.PART)
        if piece.shown_s > 0:
            moment = piece.shown_from
            start_utc = None if moment is None else moment.timestamp()
            self.buffer.append(Buffered(piece.shown_s, start_utc, rung), now)
        self.estimate.sample(item.size_bytes, item.seconds)
        self._adapt(now)

    # Which variant, which server, how fast.

    def _adapt(self, now: float) -> None:
        """Between two segments, choose the variant the next one comes from."""
        if self.pathways is None or not self.habits.abr or len(self.pathways.copies) < 2:
            return
        variants = [copy.variant for copy in self.pathways.copies]
        best = choose(variants, self.estimate.bps(), self._variant)
        if best is not self._variant:
            self._choose(best)
            assert self.feed is not None
            self.feed.switch(self.pathways.copy(self._key).url, now)

    def _choose(self, variant: Variant) -> None:
        assert self.pathways is not None
        self._variant = variant
        self._key = next(copy.key for copy in self.pathways.copies if copy.variant is variant)

    def _lower(self) -> Variant | None:
        if self.pathways is None or self._variant is None or not self.habits.abr:
            return None
        peak_bps = self._variant.peak_bps
        below = [c.variant for c in self.pathways.copies if c.variant.peak_bps < peak_bps]
        return max(below, key=lambda variant: variant.peak_bps, default=None)

    def _step_down(self, msn: int, now: float) -> None:
        lower = self._lower()
        assert lower is not None and self.pathways is not None
        assert isinstance(self.feed, PlainFeed)
        self._choose(lower)
        self.feed.again_from(msn, self.pathways.copy(self._key).url, now)

    def _elsewhere(self, now: float) -> bool:
        """True where another server can be asked."""
        if self.pathways is None or self.feed is None:
            return False
        strayed = self.feed.url != self.pathways.copy(self._key).url
        return strayed or self.pathways.elsewhere(now)

    def _go_elsewhere(self, now: float) -> None:
        """To the next pathway; from where a redirect led, back to the one that is known."""
        assert self.pathways is not None and self.feed is not None
        if self.feed.url == self.pathways.copy(self._key).url:
            self.pathways.fail(now)
        self._relocate(now)

    def _relocate(self, now: float) -> None:
        assert self.pathways is not None and self.feed is not None
        copy = self.pathways.copy(self._key)
        self._variant = copy.variant
        self._key = copy.key
        self.feed.move(copy.url, now)
        self.line.rebase(copy.url)

    def _verdict(self, wanted: Wanted, answer: Answer, tries: int, now: float) -> Verdict:
        rested = now - self._failures.rejoined_at >= REJOIN_EVERY_S
        rejoin = self.pathways is not None and rested
        possible = Possible(
            next_pathway=self._elsewhere(now),
            step_down=isinstance(self.feed, PlainFeed) and self._lower() is not None,
            rejoin=rejoin,
            rejoin_elsewhere=rejoin and urlsplit(self.url).netloc != urlsplit(answer.url).netloc,
        )
        return decide(wanted, failure_of(answer.status, answer.error), tries, possible)

    def _waited_too_long(self, now: float) -> bool:
        return self.feed is not None and now - self._usable_at >= self.habits.give_up_s

    def _end(self, answer: Answer, now: float) -> None:
        text = answer.text or f"{answer.url}: {answer.error or f'HTTP {answer.status}'}"
        if self.feed is None:
            self.error = text
        else:
            self.error = f"no playlist for {now - self._usable_at:.0f} s; last: {text}"

    def _ask_steering(self, now: float) -> list[Ask]:
        steering = self._steering
        if steering.url is None or steering.asked is not None or now < steering.at:
            return []
        assert self.pathways is not None
        url = steering_request(steering.url, self.pathways.current, self.estimate.bps())
        total_s = self.habits.total_s
        steering.asked = Ask(Wanted.STEERING, url, total_s, total_s, now)
        return [steering.asked]

    def _steered(self, answer: Answer, now: float) -> None:
        """RFC 8216bis section 7.4: 410 ends steering; whatever else fails is asked again later."""
        steering, manifest = self._steering, answer.content
        if answer.status == 410:
            steering.url = None
            return
        if not answer.good or not isinstance(manifest, SteeringManifest):
            steering.at = now + max(steering.ttl_s, answer.retry_after_s)
            return
        steering.ttl_s = manifest.ttl_s
        steering.at = now + manifest.ttl_s
        if manifest.reload_uri is not None:
            steering.url = urljoin(answer.url, manifest.reload_uri)
        if self.pathways is not None and self.pathways.steer(manifest, now) and not self._opening:
            self._relocate(now)

    @property
    def sync_target_s(self) -> float | None:
        """Seconds behind the server's clock at which everybody's picture is."""
        if self.habits.sync_s is not None or self.feed is None:
            return self.habits.sync_s
        return self.feed.common_latency_s

    def _keep_in_sync(self, now: float) -> None:
        """Hold the picture everybody holds."""
        playhead, target_s = self.buffer.playhead_utc, self.sync_target_s
        if self.buffer.state is not State.PLAYING or playhead is None or target_s is None:
            return
        latency_s = self.clock.utc(now) - playhead
        skipped_s = self.buffer.skip(sync_jump_s(latency_s, target_s, self.buffer.buffered_s), now)
        self.jumps += skipped_s > 0
        self.rate = sync_rate(latency_s - skipped_s, target_s)
        self.tally.off_sync(latency_s - skipped_s - target_s)
        self.buffer.set_rate(self.rate, now)

    def _keep_pace(self, feed: PartFeed, now: float) -> None:
        """Stay as far from the live edge as the server asks, by speed or, far behind, by a jump."""
        wanted_s = feed.wanted_distance_s(len(self.buffer.stalls))
        self.buffer.threshold_s = max(feed.part_target_s, wanted_s - feed.part_target_s)
        if self.buffer.state is not State.PLAYING or feed.ended:
            return
        distance_s = self.buffer.buffered_s + self.line.pending_s + now - feed.news_at
        jump_s = pace.jump_s(distance_s, wanted_s)
        if jump_s and not self.line:
            distance_s -= self.buffer.skip(jump_s, now)
            self.jumps += 1
        self.rate = pace.rate(distance_s, wanted_s, feed.part_target_s)
        self.buffer.set_rate(self.rate, now)


def _redirected(followed: str, asked: str, came_from: str) -> str | None:
    """The URL to follow where an answer came from elsewhere than asked; None where it did not.

    The query of an answer may hold delivery directives: that of the URL followed stays.
    """
    before, after = urlsplit(asked), urlsplit(came_from)
    if (before.netloc, before.path) == (after.netloc, after.path):
        return None
    return urlunsplit(after._replace(query=urlsplit(followed).query))


def _is_whole(url: str, size_bytes: int) -> bool:
    return not urlsplit(url).path.endswith(".ts") or size_bytes % PACKET_BYTES == 0
