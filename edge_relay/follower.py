"""Follows the feed of one channel, from whichever upstream is best, until it is cancelled."""

from collections.abc import Callable

import aiohttp

from edge_relay.mirror import Mirror
from edge_relay.puller import NotThere, Puller
from surgecast.delivery.replica.lines import FeedReader, Snapshot
from surgecast.errors import ConfigError, RemoteError
from surgecast.log import Log

_GOOD_AFTER_S = 10.0
"""A feed that lasted so long was a good one: the next try is the first again."""


class Follower:
    """One channel. `begun` is called when a feed's snapshot is on show."""

    def __init__(self, mirror: Mirror, puller: Puller, begun: Callable[[Mirror], None]) -> None:
        self.mirror = mirror
        self.upstream: str | None = None
        """Whose feed is followed now; None between two."""
        self.problem: str | None = "no feed was followed yet"
        self.gone_since: float | None = None
        """Since when no upstream has the channel."""
        self._complaints: dict[str, str] = {}
        """Upstream -> why its feed was left last."""
        self._puller = puller
        self._begun = begun
        self._log = Log("edge_relay", channel=mirror.name)

    async def run(self) -> None:
        """Follow one feed after another, from another upstream each time; then with a pause."""
        puller = self._puller
        tried: list[str] = []
        rounds = 0
        while True:
            began = puller.clock.now()
            base = puller.upstreams.best(began, tried)
            if base is None or base in tried:
                tried, rounds = [], rounds + 1
                await puller.pause(rounds)
                continue
            tried.append(base)
            reason = await self._follow_one(base)
            self.upstream, self.problem = None, reason
            if puller.clock.now() - began >= _GOOD_AFTER_S:
                tried, rounds = [base], 0

    async def _follow_one(self, base: str) -> str:
        """Until it ends; the reason."""
        puller = self._puller
        try:
            await self._follow(base)
        except NotThere:
            if self.gone_since is None:
                self.gone_since = puller.clock.now()
            return f"{base} has no such channel"
        except (RemoteError, ConfigError, aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or "takes too long"
            self._complain(base, reason)
            puller.upstreams.penalise(base, puller.clock.now(), f"feed: {reason}")
            return f"the feed of {base}: {reason}"
        except Exception as error:  # one channel's trouble must not be that of the others
            self._log.exception("feed left", error, upstream=base)
            puller.upstreams.penalise(base, puller.clock.now(), "feed: a fault of ours")
            return f"the feed of {base}: a fault of ours"
        self._log.info("feed ended", upstream=base)
        return f"the feed of {base} ended"

    def _complain(self, base: str, reason: str) -> None:
        """Once, however often it is tried again."""
        if self._complaints.get(base) != reason:
            self._complaints[base] = reason
            self._log.warning("feed left", upstream=base, reason=reason)

    async def _follow(self, base: str) -> None:
        puller, reader = self._puller, FeedReader(self.mirror.name)
        async with puller.fleet(base, f"/fleet/v1/feed/{self.mirror.name}") as answer:
            # A stand-in is left after a while: the better one may be well again.
            leave_at = puller.clock.now() + puller.settings.penalty_max_s
            async for line in puller.lines(answer):
                event = reader.take(line)
                if event is not None:
                    self.mirror.take(event)
                if isinstance(event, Snapshot):
                    self._follows(base)
                if self._should_leave(base, leave_at):
                    return

    def _should_leave(self, base: str, leave_at: float) -> bool:
        """A stand-in after a while, and one that is not on the list any more."""
        bases, now = self._puller.upstreams.bases, self._puller.clock.now()
        return base not in bases or (base != bases[0] and now >= leave_at)

    def _follows(self, base: str) -> None:
        self._puller.upstreams.forgive(base)
        self.upstream, self.problem, self.gone_since = base, None, None
        self._complaints.pop(base, None)
        self._log.info("feed followed", upstream=base)
        self._begun(self.mirror)
