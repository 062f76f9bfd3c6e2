"""One viewer of a swarm: a `player.viewer.Viewer` whose requests go over a `Wire`."""

import asyncio
import time
from functools import partial
from urllib.parse import urljoin

from player.asking import Answer, Ask, Content, Habits
from player.failover import Wanted
from player.reading import retry_after_s
from player.swarm.arrivals import Traits
from player.swarm.quality import Outcome, outcome_of
from player.swarm.texts import Library
from player.swarm.wire import Exchange, Wire
from player.viewer import Viewer
from surgecast.errors import RemoteError

SYNC_TICK_S = 0.25
REDIRECTS_MAX = 5
BUSY_TIMES = 8
"""Requests a busy viewer makes where others make one."""
_REDIRECTS = (301, 302, 303, 307, 308)


class SwarmPlayer:
    """One viewer and what connects it to the world."""

    def __init__(
        self,
        url: str,
        habits: Habits,
        wire: Wire,
        library: Library,
        like: Traits,
        leaves_at: float,
    ) -> None:
        self.wire = wire
        self.traits = like
        self.leaves_at = leaves_at
        self.region = like.region or "default"
        self.started_at = wire.loop.time()
        self.viewer = Viewer(url, habits, self.started_at)
        self._library = library
        self._sync = habits.sync
        self._exchanges: dict[Ask, tuple[Exchange, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        return self.viewer.over

    @property
    def joined(self) -> bool:
        """True once the stream was opened: from then on a server counts this viewer."""
        return bool(self.viewer.server)

    def start(self) -> None:
        self._go_on()

    def leave(self, *, vanishes: bool) -> Outcome:
        """Stop; connections are closed, or left as they are where it vanishes."""
        now = self.wire.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._exchanges.clear()
        if vanishes:
            self.wire.freeze()
        else:
            self.wire.close()
        self.viewer.buffer.advance(now)
        return outcome_of(self.viewer.report(now - self.started_at), self.region)

    def close(self) -> None:
        self.wire.close()

    def _go_on(self) -> None:
        """Make the requests there are to make and come back in time."""
        loop, viewer = self.wire.loop, self.viewer
        now = loop.time()
        if self._sync:
            viewer.play_on(now, time.time())
        for ask in viewer.asks(now):
            self._ask(ask)
        for ask in viewer.dropped():
            exchange, _ = self._exchanges.pop(ask, (None, 0))
            if exchange is not None:
                self.wire.cancel(exchange)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = viewer.wake_at(now)
        if self._sync:
            at = min(at, now + SYNC_TICK_S)
        if at != float("inf") and not viewer.over:
            self._timer = loop.call_at(max(at, now + 0.001), self._go_on)

    def _ask(self, ask: Ask, url: str | None = None, redirects: int = 0) -> None:
        done = partial(self._came, ask)
        keep = ask.wanted is not Wanted.MEDIA
        exchange = Exchange(url or ask.url, keep, ask.idle_s, ask.total_s, done)
        self._exchanges[ask] = (exchange, redirects)
        self.wire.get(exchange)
        if self.traits.busy and not redirects and ask.wanted is Wanted.PLAYLIST:
            self._ask_more(ask)

    def _ask_more(self, ask: Ask) -> None:
        """What nobody needs: the playlist again and again, and those of the other rungs."""
        pathways = self.viewer.pathways
        urls = [ask.url] if pathways is None else [copy.url for copy in pathways.copies]
        for number in range(BUSY_TIMES - 1):
            url = urls[number % len(urls)]
            self.wire.get(Exchange(url, False, ask.idle_s, ask.total_s, lambda _: None))

    def _came(self, ask: Ask, exchange: Exchange) -> None:
        _, redirects = self._exchanges.pop(ask, (None, 0))
        head = exchange.head
        if head is not None and head.status in _REDIRECTS and redirects < REDIRECTS_MAX:
            location = head.headers.get("location")
            if location and not exchange.error:
                self._ask(ask, urljoin(exchange.url, location), redirects + 1)
                return
        now = self.wire.loop.time()
        self.viewer.answered(ask, self._answer(ask, exchange), now)
        if not self._sync:
            self.viewer.play_on(now, time.time())
        if self.traits.reconnects:
            self.wire.close_idle()
        self._go_on()

    def _answer(self, ask: Ask, exchange: Exchange) -> Answer:
        head, error = exchange.head, exchange.error
        if error or head is None:
            text = f"{exchange.url}: {error}"
            return Answer(exchange.url, 0, error or "broken connection", text)
        headers = head.headers
        date = None if "age" in headers else headers.get("date")
        answer = Answer(
            exchange.url,
            head.status,
            size_bytes=exchange.size_bytes,
            seconds=exchange.ended_at - exchange.began_at,
            transfer_s=exchange.ended_at - exchange.head_at,
            retry_after_s=retry_after_s(headers.get("retry-after", "")),
            date_utc=self._library.date_utc(date) if date is not None else None,
        )
        if head.status != 200 or ask.wanted is Wanted.MEDIA:
            return answer
        encoding = headers.get("content-encoding", "")
        return self._read(ask, exchange, answer, encoding)

    def _read(self, ask: Ask, exchange: Exchange, answer: Answer, encoding: str) -> Answer:
        content: Content | None = None
        error, text = "", ""
        try:
            content = self._library.read(ask.wanted, exchange.url, exchange.body, encoding)
        except RemoteError as failure:
            error, text = "bad playlist", str(failure)
        return Answer(
            answer.url,
            answer.status,
            error,
            text,
            content,
            answer.size_bytes,
            answer.seconds,
            answer.transfer_s,
            answer.retry_after_s,
            answer.date_utc,
        )
