"""Ties one server to its manager: makes reports of what it serves, and keeps what stands in force.

The steward needs no manager. Without one it puts the server's own YAML in force and is done.
"""

import asyncio
from collections.abc import Callable

from surgecast.clock import Clock
from surgecast.control.accounts import Accounts, media_requests
from surgecast.control.messages import Directive, ServerReport, State
from surgecast.control.reporting import Reporting, watch_reporting
from surgecast.control.settings import FleetSettings
from surgecast.control.standing import Held, Own, Standing, accept, own_of, standing
from surgecast.delivery.channels import Directory
from surgecast.metrics import Metrics
from surgecast.supervise import process_age_s

Obey = Callable[[Standing], None]
Complete = Callable[[ServerReport], ServerReport]
_FIRST_VIEWER_LOOK_S = 0.1
_TIMER_SLACK_S = 0.002


class Steward:
    """One for a process. `run` from when it listens; `state` is the owner's to set."""

    def __init__(
        self,
        settings: FleetSettings,
        directory: Directory,
        *,
        url: str,
        is_origin: bool,
        boot: str,
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float],
        obey: Obey | None = None,
        complete: Complete | None = None,
    ) -> None:
        """`url` is where viewers reach it, `boot` a name for this life of the process.

        `obey` hears of every change of what stands, `complete` adds to reports what only it knows.
        """
        self._settings = settings
        self._directory = directory
        self._accounts = Accounts(directory)
        self._clock = clock
        self._metrics = metrics
        self._own: Own = own_of(settings, url, is_origin=is_origin)
        self._boot = boot
        self._obey = obey
        self._complete = complete
        self._held: Held | None = None
        self._state: State = "starting"
        self._expiry: asyncio.TimerHandle | None = None
        self._sequence = 0
        self._started_at = clock.now() - process_age_s()
        self.ready_after_s: float | None = None
        self.first_viewer_after_s: float | None = None
        self.reporting = Reporting(
            settings.control,
            self.report,
            self.take,
            answer=Directive,
            path="/api/v1/reports",
            jitter=jitter,
        )
        if settings.control.manager is not None:
            watch_reporting(metrics, self.reporting)

    @property
    def standing(self) -> Standing:
        """What is in force now."""
        return standing(self._own, self._held, self._state, self._clock.now())

    @property
    def state(self) -> State:
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if state == self._state:
            return
        self._state = state
        if state == "serving" and self.ready_after_s is None:
            self.ready_after_s = self._uptime_s()
        self._apply()
        self.reporting.hurry()

    async def run(self) -> None:
        """Report until cancelled."""
        self._apply()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.reporting.run())
                tasks.create_task(self._note_first_viewer())
        finally:
            if self._expiry is not None:
                self._expiry.cancel()

    def take(self, directive: Directive) -> float:
        """Put it in force; the pause until the next report. Raises UnknownVersion."""
        now = self._clock.now()
        self._held = accept(directive, self._held, now)
        self._apply()
        self._await_expiry()
        return directive.report_every_s

    def report(self) -> ServerReport:
        """What the manager is told now."""
        load, stands, own = self._directory.load(), self.standing, self._own
        self._sequence += 1
        report = ServerReport(
            server=own.server,
            role="origin" if own.is_origin else "relay",
            url=own.url,
            region=own.region,
            boot=self._boot,
            sequence=self._sequence,
            sent_at_utc=self._clock.utc(),
            uptime_s=self._uptime_s(),
            state=self._state,
            capacity_bps=float(self._settings.egress.capacity_bps or 0),
            budget_bps=stands.budget_bps or 0.0,
            egress_bps=load.egress_bps,
            ready_after_s=self.ready_after_s,
            first_viewer_after_s=self.first_viewer_after_s,
            channels=self._accounts.channels(self._clock.now()),
            tokens_refused=self._directory.tokens_refused.total(),
            http_errors=self._metrics.server_errors,
            directive=stands.directive,
        )
        return self._complete(report) if self._complete is not None else report

    def _apply(self) -> None:
        stands = self.standing
        self._directory.neighbours = stands.neighbours
        self._directory.fleet_viewers = stands.viewers
        self._directory.egress_budget_bps = stands.budget_bps
        self._directory.rung_caps = stands.rung_caps
        self._directory.fleet_usable = stands.usable
        if self._obey is not None:
            self._obey(stands)

    def _await_expiry(self) -> None:
        """Look again when the directive has run out. Timers may be early by a little."""
        if self._expiry is not None:
            self._expiry.cancel()
        assert self._held is not None
        age_s = self._clock.now() - self._held.received_at
        left_s = self._held.directive.ttl_s - age_s
        if left_s <= 0:
            self._apply()
            return
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(left_s + _TIMER_SLACK_S, self._await_expiry)

    def _uptime_s(self) -> float:
        return self._clock.now() - self._started_at

    async def _note_first_viewer(self) -> None:
        """To a tenth of a second; requests are not slowed for it. What was asked for before it
        served, its own checks, does not count."""
        before = 0
        while self._state != "serving" or media_requests(self._directory) == before:
            if self._state != "serving":
                before = media_requests(self._directory)
            await asyncio.sleep(_FIRST_VIEWER_LOOK_S)
        self.first_viewer_after_s = self._uptime_s()
        self.reporting.hurry()
