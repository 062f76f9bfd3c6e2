"""Everything a relay gets from above: its channels, their windows, and the bytes of their objects.

`Upstream` is what the relay's process is built around:

    upstream = Upstream(settings.pull, directory, clock=clock, token=settings.control.token)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(upstream.run())
        await upstream.prewarm(("news",))   # returns when it is warm and checked

It fills stages of an ordinary `Directory`, so that a relay serves with the code of an origin.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import aiohttp

from edge_relay.depot import Depot
from edge_relay.follower import Follower
from edge_relay.mirror import Mirror
from edge_relay.pull_settings import PullSettings
from edge_relay.puller import Pulled, Puller
from edge_relay.self_check import NEWEST_SEGMENTS, objects_listed
from edge_relay.upstreams import Upstreams
from surgecast.clock import Clock
from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.channels import Directory
from surgecast.delivery.settings import AdaptationSettings, SessionSettings
from surgecast.errors import RemoteError
from surgecast.log import Log

_CHANNELS_BYTES_MAX = 1024 * 1024
_LOOK_S = 1.0
"""Longest time between two looks at what is missing of a channel that is to be warm."""

log = Log("edge_relay")


class Upstream:
    """Follows the feeds of an upstream and pulls what is asked for.

    `sessions` and `adaptation` are those of the channels it puts on show. `token` is shown to
    other servers (`control.token`); `chance` (0..1) keeps relays from retrying in step.
    """

    def __init__(
        self,
        settings: PullSettings,
        directory: Directory,
        *,
        clock: Clock,
        token: str | None = None,
        sessions: SessionSettings | None = None,
        adaptation: AdaptationSettings | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self._directory = directory
        self._clock = clock
        self._sessions = sessions or SessionSettings()
        self._adaptation = adaptation or AdaptationSettings()
        self._upstreams = Upstreams(settings.upstreams, settings.penalty_s, settings.penalty_max_s)
        self._puller = Puller(settings, self._upstreams, clock=clock, chance=chance, token=token)
        self.depot = Depot(settings, self._puller, directory.turnstile, clock)
        directory.supply_from(self.depot)
        self._followers: dict[str, Follower] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: asyncio.TaskGroup | None = None
        self._warm: tuple[str, ...] = ()
        self._was_warm: set[str] = set()
        """Of these all that a viewer begins with was here once."""
        self._meter = EgressMeter()
        self._lists_failed: str | None = None
        self.keep_warm(settings.prewarm)

    @property
    def pulled(self) -> Pulled:
        """What was pulled since the start."""
        return self._puller.pulled

    async def run(self) -> None:
        """Follow until cancelled; what fails is tried again, and told by `warnings`."""
        try:
            async with self._puller.opened(), asyncio.TaskGroup() as self._running:
                self._follow(self._wanted(()))
                while True:
                    await self._look_for_channels()
                    await asyncio.sleep(self.settings.channels_every_s)
        finally:
            self._running = None
            self.depot.close()

    async def prewarm(self, channels: Iterable[str]) -> None:
        """Return when what viewers begin with is here of each, in every rung, and keeps the rules.

        The older part of the live window follows at leisure: whole windows at once would take from
        an origin that is full what its viewers need.

        From then on these channels are pulled as they are announced, whether asked for or not,
        until `keep_warm` says otherwise. Never raises for an upstream that fails: it waits, and
        `not_warm` says for what.
        """
        self.keep_warm((*self._warm, *channels))
        while self.not_warm():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self.depot.news.wait()

    def keep_warm(self, channels: Iterable[str]) -> None:
        """The channels to be kept warm from now on, as a directive names them. Does not wait."""
        self._warm = tuple(dict.fromkeys(channels))
        self._was_warm.intersection_update(self._warm)
        self.depot.keep_warm(self._warm)
        if self._running is not None:
            self._follow(self._warm)

    def not_warm(self) -> Sequence[str]:
        """What is missing of the channels to be warm, as sentences; empty when the relay is ready.

        For `problems` of `surgecast.delivery.app.build_app`.
        """
        return [problem for name in self._warm if (problem := self._missing(name)) is not None]

    def warnings(self) -> Sequence[str]:
        """Upstreams that fail, channels that stand still: told, but viewers are served."""
        found = [*self._upstreams.warnings(self._clock.now())]
        found += [
            f"channel {name}: {follower.problem}"
            for name, follower in self._followers.items()
            if follower.problem is not None
        ]
        return found if self._lists_failed is None else [*found, self._lists_failed]

    def use(self, upstreams: Sequence[str]) -> None:
        """Another list of upstreams, the best first; what is under way goes on."""
        self._upstreams.use(upstreams)

    @property
    def upstream_bps(self) -> float:
        """What is pulled, over the last seconds."""
        return self._meter.sample(self._clock.now(), self.pulled.bytes_in)

    # Channels.

    async def _look_for_channels(self) -> None:
        base = self._upstreams.best(self._clock.now())
        if base is None:
            return
        try:
            async with self._puller.fleet(base, "/fleet/v1/feed") as answer:
                async with asyncio.timeout(self.settings.stall_timeout_s):
                    names = _channel_names(await answer.content.read(_CHANNELS_BYTES_MAX))
        except (RemoteError, aiohttp.ClientError, TimeoutError) as error:
            self._lists_failed = f"upstream {base} does not name its channels: {error}"
            self._upstreams.penalise(base, self._clock.now(), str(error) or "takes too long")
            return
        self._lists_failed = None
        self._follow(self._wanted(names))
        self._leave_gone(names)

    def _wanted(self, known: Sequence[str]) -> list[str]:
        return list(dict.fromkeys((*(self.settings.channels or known), *self._warm)))

    def _follow(self, names: Iterable[str]) -> None:
        assert self._running is not None
        for name in names:
            if name not in self._followers:
                mirror = Mirror(name, self._directory, self._sessions, self._adaptation)
                follower = Follower(mirror, self._puller, self._begun)
                self._followers[name] = follower
                self._tasks[name] = self._running.create_task(follower.run())

    def _begun(self, mirror: Mirror) -> None:
        """A feed has given its snapshot."""
        assert mirror.shape is not None
        self.depot.set_pace(mirror.name, float(mirror.shape.segment_duration_s))
        if mirror.name in self._warm:
            self._pull_window(mirror)

    def _leave_gone(self, names: Sequence[str]) -> None:
        """Channels that no upstream has any more, once nobody can still be playing them."""
        now = self._clock.now()
        for name, follower in tuple(self._followers.items()):
            window = follower.mirror.stage.window if follower.mirror.stage else None
            life_s = window.life_s(window.next_msn - 1) if window is not None else 0.0
            since = follower.gone_since
            if name not in (*names, *self._warm) and since is not None and now - since > life_s:
                self._tasks.pop(name).cancel()
                follower.mirror.remove()
                self.depot.forget(name)
                del self._followers[name]

    # Warmth.

    def _pull_window(self, mirror: Mirror) -> None:
        assert mirror.stage is not None
        listed, _ = objects_listed(mirror.stage, NEWEST_SEGMENTS)
        self.depot.pull(mirror.name, listed)

    async def _pull_older(self, mirror: Mirror) -> None:
        """The rest of the window, each rung's newest first, at twice the pace of the channel."""
        assert mirror.stage is not None and mirror.shape is not None
        rungs = len(mirror.stage.window.renditions)
        pause_s = float(mirror.shape.segment_duration_s) / (2 * rungs)
        listed, _ = objects_listed(mirror.stage)
        for path in reversed(listed):
            if not self.depot.has(mirror.name, path):
                self.depot.pull(mirror.name, (path,))
                await asyncio.sleep(pause_s)

    def _missing(self, name: str) -> str | None:
        """What is missing of a channel that is to be warm. Once whole, it follows its feed."""
        follower = self._followers.get(name)
        stage = follower.mirror.stage if follower is not None else None
        if follower is None or stage is None:
            reason = follower.problem if follower is not None else None
            return f"channel {name}: nothing on show yet: {reason or 'not followed yet'}"
        if name in self._was_warm:
            return None
        listed, problem = objects_listed(stage, NEWEST_SEGMENTS)
        if problem is not None:
            return f"channel {name}: {problem}"
        missing = [path for path in listed if not self.depot.has(name, path)]
        if missing:
            self._pull_window(follower.mirror)
            return f"channel {name}: {len(missing)} of {len(listed)} objects are missing"
        self._was_warm.add(name)
        log.info("warm", channel=name, objects=len(listed))
        if self._running is not None:
            self._running.create_task(self._pull_older(follower.mirror))
        return None


def _channel_names(body: bytes) -> list[str]:
    """Raises RemoteError."""
    try:
        told = json.loads(body)
        names = [name for name in told["channels"] if isinstance(name, str)]
    except (ValueError, TypeError, KeyError) as error:
        raise RemoteError(f"not a list of channels: {body[:60]!r}") from error
    return names
