"""The origin put together: the one place that knows all of its parts."""

import asyncio
import random
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from origin.channel import STATES, Channel, check_writable
from origin.gauges import watch_archives, watch_encoders, watch_ingest, watch_inputs
from origin.ingest_api import IngestHandlers
from origin.page import page_routes
from origin.recording import Recording, Recordings
from origin.recording_api import RecordingHandlers
from origin.reload import diff
from origin.settings import OriginSettings
from segmenter import ffmpeg
from segmenter.failover import Mode
from segmenter.ingest.feeds import Feeds
from segmenter.machine import Machine
from surgecast.clock import Clock, RealClock
from surgecast.config import load
from surgecast.control.messages import ServerReport
from surgecast.control.standing import itself, own_of
from surgecast.control.steward import Steward
from surgecast.delivery.api import ApiHandlers
from surgecast.delivery.app import Serving, build_app, serve
from surgecast.delivery.channels import Directory
from surgecast.delivery.gauges import watch_directory, watch_feeds, watch_server
from surgecast.delivery.replica.feed import ReplicaFeeds
from surgecast.delivery.self_checker import SelfChecker
from surgecast.delivery.sessions.fleet import SessionFleet
from surgecast.errors import ConfigError, RemoteError
from surgecast.log import Log
from surgecast.metrics import Metrics, Sample

_RESTORE_MAX_S = 5.0

_log = Log("origin")


class Origin:
    """Runs the channels of one configuration file and serves them, until cancelled."""

    def __init__(self, config: Path, *, clock: Clock | None = None) -> None:
        """Reads `config`. Raises ConfigError."""
        self._config = config
        self._clock = clock or RealClock()
        self.settings = load(config, OriginSettings)
        http = self.settings.http
        url = self.settings.server.url(http.host, http.port)
        self.directory = Directory(
            self._clock,
            http.waiters_max,
            access=self.settings.access,
            egress=self.settings.egress,
            own=itself(own_of(self.settings, url, is_origin=True), "serving"),
        )
        self._replicas = ReplicaFeeds(
            self.directory, self.settings.feed, token=self.settings.control.token
        )
        self.channels: dict[str, Channel] = {}
        self._machine = Machine(self._clock)
        self._self_checker = SelfChecker(self._clock) if self.settings.self_check else None
        self._feeds: Feeds | None = None
        self._limit_warning: str | None = None
        self._steward: Steward | None = None
        self._changing = asyncio.Lock()

    async def run(self) -> None:
        """Serve until cancelled. Raises ConfigError or LocalError where it cannot begin."""
        check_writable(self.settings.state_dir)
        program = ffmpeg.find(self.settings.ffmpeg)
        metrics = Metrics()
        self._watch(metrics)
        watch_encoders(metrics, self.channels)
        watch_inputs(metrics, self.channels)
        watch_ingest(metrics, self.channels)
        watch_archives(metrics, self.channels)
        watch_directory(metrics, self.directory)
        watch_feeds(metrics, self._replicas)
        if self._self_checker is not None:
            self._self_checker.show(metrics)
        api = ApiHandlers(self.directory, self.settings.api, self)
        passing, token = self.settings.passing, self.settings.control.token
        ingest = IngestHandlers(self.channels, token)
        app = build_app(
            self.directory,
            metrics,
            problems=self._problems,
            warnings=self._warnings,
            fleet=SessionFleet(self.directory, passing, token, self._clock),
            routes=[
                *api.routes(),
                *RecordingHandlers(self, api).routes(),
                *ingest.routes(),
                *self._replicas.routes(),
                *page_routes(),
            ],
        )
        app.on_shutdown.append(ingest.let_go)
        async with Feeds(program) as feeds:
            self._feeds = feeds
            try:
                async with serve(
                    app, self.directory, self.settings.http, before_accepting=self._start_all
                ) as at:
                    watch_server(metrics, at.server)
                    self._limit_warning = at.limit_warning
                    _log.info("serving", host=at.host, port=at.port, ffmpeg=program)
                    steward = self._steward = self._make_steward(at, metrics)
                    steward.state = "serving"
                    await steward.run()
                    await asyncio.Event().wait()
            finally:
                await asyncio.gather(*(channel.stop() for channel in self.channels.values()))
                if self._self_checker is not None:
                    await self._self_checker.close()

    def _make_steward(self, at: Serving, metrics: Metrics) -> Steward:
        return Steward(
            self.settings,
            self.directory,
            url=self.settings.server.url(at.host, at.port),
            is_origin=True,
            boot=secrets.token_hex(8),
            clock=self._clock,
            metrics=metrics,
            jitter=random.random,
            complete=self._with_transcodes,
        )

    def _with_transcodes(self, report: ServerReport) -> ServerReport:
        """The channels that workers are to encode, for the manager."""
        running = [c for c in self.channels.values() if c.ingest is not None and not c.ended]
        wanted = [c.ingest.wanted() for c in running if c.ingest is not None]
        return report.model_copy(update={"transcodes": wanted})

    def _news(self) -> None:
        if self._steward is not None:
            self._steward.reporting.hurry()

    async def _start_all(self) -> None:
        """Start every channel, and wait until those with a past show it again: a player that
        comes back must not be told that its channel is unknown."""
        for name in self.settings.channels:
            self._start(name)
        restoring = [asyncio.create_task(c.restored.wait()) for c in self.channels.values()]
        if restoring:
            _, late = await asyncio.wait(restoring, timeout=_RESTORE_MAX_S)
            for task in late:
                task.cancel()

    # What the API and signals ask for.

    async def start(self, channel: str) -> None:
        """Start a configured channel that was stopped. Raises RemoteError."""
        async with self._changing:
            if channel not in self.settings.channels:
                known = ", ".join(self.settings.channels) or "none"
                raise RemoteError(f"no channel {channel!r} is configured; there are: {known}")
            if channel in self.channels:
                if not self.channels[channel].ended:
                    raise RemoteError(f"channel {channel!r} is running already")
                await self._stop(channel)
            self._start(channel)

    async def stop(self, channel: str) -> None:
        """Stop a running channel; its numbers go on when it is started again."""
        async with self._changing:
            await self._stop(channel)

    async def end(self, channel: str) -> str | None:
        """End a running channel's show; the URL of what was archived of it. Raises RemoteError."""
        async with self._changing:
            return await self._running(channel).end()

    async def reload(self) -> Mapping[str, Any]:
        """Read the configuration file again and do what changed, no more.

        Raises ConfigError for a file that cannot be used; then everything stays as it is.
        """
        async with self._changing:
            try:
                new = await asyncio.to_thread(load, self._config, OriginSettings)
            except ConfigError as error:
                _log.error("configuration not reloaded; what runs goes on", reason=error)
                raise
            changes = diff(self.settings, new)
            self.settings = new
            running = {name for name, channel in self.channels.items() if not channel.ended}
            for name in (*changes.stop, *changes.replace):
                if name in running or (name in changes.stop and name in self.channels):
                    await self._stop(name)
            for name in changes.change_source:
                if name in running:
                    await self.channels[name].change_source(new.channels[name])
            # A channel that was stopped by hand stays so, whatever its settings are now.
            for name in (*changes.start, *(set(changes.replace) & running)):
                self._start(name)
            _log.info("configuration reloaded", **changes.to_dict())
            return changes.to_dict()

    def recordings(self, channel: str) -> Recordings:
        """Those of a running channel. Raises RemoteError."""
        return self._running(channel).keeping.recordings

    def record(self, channel: str, rung: str) -> Recording:
        """Record a rung of a running channel. Raises RemoteError, LocalError."""
        return self._running(channel).keeping.record(rung, self._clock.utc())

    def running(self) -> Sequence[str]:
        return list(self.channels)

    def source_info(self, channel: str) -> Mapping[str, Any]:
        found = self.channels.get(channel)
        return found.describe() if found else {}

    def choose_input(self, channel: str, mode: str) -> Mapping[str, Any]:
        """Keep a channel on one of its inputs, or let it decide. Raises RemoteError."""
        inputs = self.channels[channel].inputs if channel in self.channels else None
        if inputs is None:
            raise RemoteError(f"channel {channel!r} has no backup, or does not run")
        allowed: tuple[Mode, ...] = get_args(Mode)
        for known in allowed:
            if mode == known:
                inputs.pin(known)
        return {"input": mode, "on_air": inputs.on_air}

    def _start(self, name: str) -> None:
        assert self._feeds is not None, "channels start while the origin runs"
        channel = Channel(
            name,
            self.settings.channels[name],
            feeds=self._feeds,
            state_dir=self.settings.state_dir,
            runtime_dir=self.settings.runtime_dir,
            directory=self.directory,
            machine=self._machine,
            clock=self._clock,
            self_checker=self._self_checker,
            news=self._news,
        )
        self.channels[name] = channel
        channel.start()

    async def _stop(self, name: str) -> None:
        channel = self._running(name)
        del self.channels[name]
        await channel.stop()

    def _running(self, name: str) -> Channel:
        if name not in self.channels:
            known = ", ".join(self.channels) or "none"
            raise RemoteError(f"channel {name!r} is not running; running: {known}")
        return self.channels[name]

    def _problems(self) -> Sequence[str]:
        """Why the origin is not ready, beyond windows that still fill."""
        return [f"channel {name}: {c.problem}" for name, c in self.channels.items() if c.problem]

    def _warnings(self) -> Sequence[str]:
        """What an operator should know though the origin is ready."""
        limits = [self._limit_warning] if self._limit_warning else []
        channels = self.channels.items()
        told = [f"channel {name}: {text}" for name, c in channels for text in c.warnings]
        broken = self._self_checker.warnings() if self._self_checker is not None else []
        return limits + told + broken

    def _watch(self, metrics: Metrics) -> None:
        metrics.gauge(
            "surgecast_channel_state",
            "1 for the state a channel is in",
            ("channel", "state"),
            lambda: [
                Sample(float(channel.state == state), (name, state))
                for name, channel in self.channels.items()
                for state in STATES
            ],
        )
        metrics.counter(
            "surgecast_segments_not_mirrored",
            "Segments that a restart could not show again, because the disk was slow or refused",
            ("channel",),
            lambda: [Sample(c.not_mirrored, (name,)) for name, c in self.channels.items()],
        )
        metrics.counter(
            "surgecast_encoder_runs",
            "Encoder processes started for a channel's source",
            ("channel",),
            lambda: [Sample(c.encoder_runs, (name,)) for name, c in self.channels.items()],
        )
