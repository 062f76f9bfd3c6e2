"""The relay put together: the one place that knows all of its parts."""

import asyncio
import random
import secrets
from collections.abc import Coroutine, Sequence
from typing import Any

from edge_relay.drain_api import drain_routes
from edge_relay.gauges import watch_upstream
from edge_relay.lifecycle import STATES, Life, Occupancy
from edge_relay.self_test import find_fault
from edge_relay.settings import RelaySettings
from edge_relay.upstream import Upstream
from surgecast.clock import Clock, RealClock
from surgecast.control.accounts import media_requests
from surgecast.control.messages import Drain, ServerReport
from surgecast.control.standing import Standing, itself, own_of
from surgecast.control.steward import Steward
from surgecast.delivery.api import ApiHandlers
from surgecast.delivery.app import Serving, build_app, serve
from surgecast.delivery.channels import Directory
from surgecast.delivery.gauges import watch_directory, watch_feeds, watch_server
from surgecast.delivery.replica.feed import ReplicaFeeds
from surgecast.delivery.sessions.fleet import SessionFleet
from surgecast.errors import LocalError
from surgecast.log import Log
from surgecast.metrics import Metrics, Sample

_LOOK_S = 0.25
"""How often time is let pass in the life of the relay."""
_SELF_TEST_PAUSE_S = 0.5

_log = Log("edge_relay")


class Relay:
    """Re-streams what its upstreams have, until it is told to end."""

    def __init__(self, settings: RelaySettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or RealClock()
        http = settings.http
        url = settings.server.url(http.host, http.port)
        self.directory = Directory(
            self._clock,
            http.waiters_max,
            access=settings.access,
            egress=settings.egress,
            own=itself(own_of(settings, url, is_origin=False), "starting"),
        )
        self._replicas = ReplicaFeeds(self.directory, settings.feed, token=settings.control.token)
        self.life = Life(settings.life, self._clock.now())
        self.upstream = Upstream(
            settings.pulling(),
            self.directory,
            clock=self._clock,
            token=settings.control.token,
            sessions=settings.sessions,
            adaptation=settings.adaptation,
        )
        self._steward: Steward | None = None
        self._limit_warning: str | None = None
        self._fault = ""
        self._media = (0, self._clock.now())
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Serve until its life has ended, or cancelled. Raises LocalError if it has failed."""
        metrics = Metrics()
        watch_directory(metrics, self.directory)
        watch_feeds(metrics, self._replicas)
        watch_upstream(metrics, self.upstream, self.directory)
        self._watch(metrics)
        api = ApiHandlers(self.directory, self.settings.api, None)
        passing, token = self.settings.passing, self.settings.control.token
        app = build_app(
            self.directory,
            metrics,
            problems=self._problems,
            warnings=self._warnings,
            fleet=SessionFleet(self.directory, passing, token, self._clock),
            routes=[*api.routes(), *drain_routes(api, self.drain), *self._replicas.routes()],
        )
        async with serve(app, self.directory, self.settings.http) as at:
            watch_server(metrics, at.server)
            self._limit_warning = at.limit_warning
            self._steward = self._made_steward(at, metrics)
            self.life.listening()
            self._show_state()
            _log.info("warming", host=at.host, port=at.port, upstreams=self.settings.upstreams)
            await self._live(at, self._steward)
        if self.life.state == "failed":
            raise LocalError(self.life.reason)

    def drain(self, order: Drain, reason: str) -> None:
        """Let everybody go, then end."""
        self.life.drain(order, self._clock.now(), reason)
        self._show_state()

    async def _live(self, at: Serving, steward: Steward) -> None:
        parts: Sequence[Coroutine[Any, Any, None]] = (
            self.upstream.run(),
            steward.run(),
            self._become_warm(at, steward),
            self._let_time_pass(),
        )
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in parts]
            await self._ended.wait()
            for task in tasks:
                task.cancel()
        _log.info("ended", state=self.life.state, reason=self.life.reason)

    async def _become_warm(self, at: Serving, steward: Steward) -> None:
        """Pull what the YAML and the manager name, then see whether it is served right."""
        await self._hear_from_manager(steward)
        await self.upstream.prewarm({*self.settings.prewarm, *steward.standing.prewarm})
        while fault := await find_fault(self.directory, at.host, at.port):
            if fault != self._fault:
                _log.warning("not serving yet", reason=fault)
            self._fault = fault
            await asyncio.sleep(_SELF_TEST_PAUSE_S)
        self._fault = ""
        self.life.warm()
        self._show_state()
        _log.info(
            "serving", channels=[s.name for s in self.directory], after_s=steward.ready_after_s
        )

    async def _hear_from_manager(self, steward: Steward) -> None:
        """The answer to the first report names the channels to warm; `timeout_s` bounds it."""
        if self.settings.control.manager is not None:
            await steward.reporting.tried.wait()

    async def _let_time_pass(self) -> None:
        while not self.life.ended:
            now = self._clock.now()
            self.life.look(self._occupancy(now), now, "; ".join(self._missing()))
            self._show_state()
            await asyncio.sleep(_LOOK_S)

    def _occupancy(self, now: float) -> Occupancy:
        requests = media_requests(self.directory)
        if requests != self._media[0]:
            self._media = (requests, now)
        sessions = sum(stage.viewers for stage in self.directory)
        return Occupancy(sessions, now - self._media[1])

    def _show_state(self) -> None:
        if self._steward is not None and self._steward.state != self.life.reported:
            self._steward.state = self.life.reported
            if self.life.state == "draining":
                _log.info("draining", reason=self.life.reason, to=self.life.heirs)
        if self.life.ended:
            self._ended.set()

    # What the manager wants.

    def _made_steward(self, at: Serving, metrics: Metrics) -> Steward:
        return Steward(
            self.settings,
            self.directory,
            url=self.settings.server.url(at.host, at.port),
            is_origin=False,
            boot=secrets.token_hex(8),
            clock=self._clock,
            metrics=metrics,
            jitter=random.random,
            obey=self._obey,
            complete=self._complete,
        )

    def _obey(self, stands: Standing) -> None:
        if stands.stop:
            self.life.stop("told by the manager")
            self._show_state()
        elif stands.drain is not None:
            self.drain(stands.drain, "told by the manager")
        if self.life.state == "serving":
            self.upstream.keep_warm({*self.settings.prewarm, *stands.prewarm})

    def _complete(self, report: ServerReport) -> ServerReport:
        pulled = self.upstream.pulled
        return report.model_copy(
            update={
                "upstream_bps": self.upstream.upstream_bps,
                "upstream_fetches": pulled.upstream_fetches,
                "objects_fetched": pulled.objects_fetched,
            }
        )

    # What operators see.

    def _missing(self) -> list[str]:
        return [*self.upstream.not_warm(), *([self._fault] if self._fault else [])]

    def _problems(self) -> Sequence[str]:
        """Why viewers should not be sent here."""
        if self.life.state == "serving":
            return []
        return [f"the relay is {self.life.state}", *self._missing()]

    def _warnings(self) -> Sequence[str]:
        limits = [self._limit_warning] if self._limit_warning else []
        return [*limits, *self.upstream.warnings()]

    def _watch(self, metrics: Metrics) -> None:
        metrics.gauge(
            "surgecast_relay_state",
            "1 for the state the relay is in",
            ("state",),
            lambda: [Sample(float(self.life.state == state), (state,)) for state in STATES],
        )
