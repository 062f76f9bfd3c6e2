"""The manager put together: the one place that knows all of its parts.

What is decided is in `manager`; here are its hands. It never calls a media server: servers report,
and find in the answer what they are to do. Relays are started and ended through a provisioner, in
tasks of their own, so that a slow one delays no tick.
"""

import asyncio
import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from surgecast.clock import Clock, RealClock
from surgecast.config import load
from surgecast.delivery.app import build_app, listen
from surgecast.delivery.channels import Directory
from surgecast.delivery.gauges import watch_server
from surgecast.delivery.sessions.tokens import Keyring
from surgecast.errors import ConfigError, LocalError
from surgecast.log import Log
from surgecast.metrics import Metrics
from traffic_manager.api.events import Events
from traffic_manager.api.models import ReloadAnswer
from traffic_manager.api.placement_views import tasks_answer
from traffic_manager.api.routes import ManagerApi
from traffic_manager.api.views import region_answers
from traffic_manager.fitting import Fitting
from traffic_manager.forecasting.series import Series
from traffic_manager.forecasts_file import ForecastsFile
from traffic_manager.gauges import (
    watch_fits,
    watch_forecasts,
    watch_manager,
    watch_process,
    watch_viewers,
)
from traffic_manager.joining.fast_join import JoinRunner
from traffic_manager.joining.join import Join
from traffic_manager.joining.maxmind import find_regions
from traffic_manager.joining.steer import Steer
from traffic_manager.manager import Manager, Order, Start, forecasts_for
from traffic_manager.manager_settings import ManagerSettings
from traffic_manager.placement.costs.learning import learning_for
from traffic_manager.placement.costs.learning_gauges import watch_learning
from traffic_manager.placement.gauges import watch_placement
from traffic_manager.provisioners.base import Provisioner, ProvisionFailed
from traffic_manager.provisioners.command import CommandProvisioner
from traffic_manager.provisioners.enrolment import Enrolment
from traffic_manager.provisioners.local import LocalProvisioner
from traffic_manager.provisioners.settings import LocalSettings
from traffic_manager.record.recorder import Recorder
from traffic_manager.record.records import DecisionRecord, DemandRecord, Incident, Outcome
from traffic_manager.reload import diff
from traffic_manager.wishes_file import keep_wishes, load_wishes

_RECONCILE_EVERY_S = 1.0
_SUMMARY_EVERY_S = 1.0
_ORDERS_MAX = 64
"""Starts and stops under way; more wait."""
_NAME_CHARACTERS_MAX = 40
_TASK_SUMMARY = {
    "channel",
    "role",
    "state",
    "worker",
    "predicted_cores",
    "reserved_cores",
    "realised_cores",
    "speed",
}

_log = Log("surgecast.manager")
MakeProvisioner = Callable[[ManagerSettings, Enrolment], Provisioner | None]


def make_provisioner(settings: ManagerSettings, enrolment: Enrolment) -> Provisioner | None:
    """The one that the configuration names. Raises LocalError."""
    chosen = settings.provisioner
    if chosen is None:
        return None
    if isinstance(chosen, LocalSettings):
        return LocalProvisioner(chosen, enrolment)
    return CommandProvisioner(chosen, enrolment)


class ManagerApp:
    """Runs the manager of one configuration file, until cancelled."""

    def __init__(
        self,
        config: Path,
        *,
        clock: Clock | None = None,
        provisioner: MakeProvisioner = make_provisioner,
    ) -> None:
        """Reads `config`. Raises ConfigError."""
        self._config = config
        self._clock = clock or RealClock()
        self._make_provisioner = provisioner
        self.settings = load(config, ManagerSettings)
        self._began_at_s = self._clock.now()
        self._state_dir = self.settings.state_dir
        self.forecasts = forecasts_for(self.settings)
        self._forecasts_file = ForecastsFile(self._state_dir, self.forecasts)
        self._forecasts_file.load()
        self.learning = learning_for(
            self.settings.placement, self._state_dir, self._clock, self._learning_told
        )
        self.manager = Manager(
            self.settings,
            boot=_boot_name(),
            name=_relay_name,
            now_s=self._began_at_s,
            wishes=load_wishes(self._state_dir),
            public_url=self.settings.public_url,
            forecasts=self.forecasts,
            costs=self.learning.learner,
            learn=self.learning.report,
        )
        self.join = Join(
            self.settings.join,
            find_regions(self.settings.regions),
            Keyring(self.settings.access),
            lambda: self.manager.fleet,
            self._clock,
        )
        self.steer = Steer(self.settings.steering, self.join, self._clock, self.settings.public_url)
        self.events = Events(self.settings.api)
        self.recorder = self._recorder()
        self._fitting = Fitting(self._forecast_series, self._not_fitted, self._clock)
        self._provisioner: Provisioner | None = None
        self._orders: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_ORDERS_MAX)
        self._changing = asyncio.Lock()
        self._summary_at_s = float("-inf")
        self.listening = asyncio.Event()
        """Set when `manager.public_url` is known and answers."""
        self.problem: str | None = None
        """Why the provisioner cannot be used now."""

    def _recorder(self) -> Recorder | None:
        if self.settings.history.url is None:
            return None
        return Recorder(self.settings.history, self._clock.utc, self.manager.boot)

    async def run(self) -> None:
        """Serve until cancelled. Raises ConfigError or LocalError where it cannot begin."""
        keep_wishes(self._state_dir, self.manager.wishes)
        metrics = Metrics()
        watch_manager(metrics, self.manager)
        watch_forecasts(metrics, self._forecast_series)
        watch_fits(metrics, self._fitting)
        watch_viewers(metrics, self.join, self.steer)
        watch_process(metrics, self.recorder, self.events)
        watch_placement(metrics, self.manager.placing)
        watch_learning(metrics, self.learning)
        if self.recorder is not None:
            self.recorder.start()
        await self.learning.start(self.recorder)
        api = ManagerApi(self.manager, self.settings.api, self.events, self, self._clock)
        app = build_app(
            Directory(self._clock),
            metrics,
            warnings=self._warnings,
            routes=[*api.routes(), *self.join.routes(), *self.steer.routes()],
        )
        runner = JoinRunner(app, self.join, self.settings.http, self.steer)
        try:
            async with listen(runner, self.settings.http) as at:
                watch_server(metrics, at.server)
                url = self.settings.public_url or _url(at.host, at.port)
                self.manager.public_url = url
                self._provisioner = self._make_provisioner(self.settings, self._enrolment(url))
                self.listening.set()
                _log.info("managing", url=url, boot=self.manager.boot)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keep_ticking())
                    tasks.create_task(self._keep_reconciling())
                    tasks.create_task(self._fitting.run())
                    tasks.create_task(self._keep_forecasts())
                    tasks.create_task(self.learning.run())
        finally:
            self.events.close()
            await self._close()

    def _forecast_series(self) -> Mapping[str, Series]:
        """By region."""
        found = self.forecasts.series
        return {region: series for (region, channel), series in found.items() if not channel}

    def _not_fitted(self, why: str) -> None:
        self.manager.logbook.incident("forecast", why, self._clock.utc())

    def _learning_told(self, text: str) -> None:
        self.manager.logbook.incident("transcode", text, self._clock.utc())

    def _enrolment(self, url: str) -> Enrolment:
        return Enrolment(url, self.settings.api.server_token, self.settings.access)

    async def _keep_forecasts(self) -> None:
        await self._forecasts_file.keep_writing(self.settings.forecasting.save_every_s)

    async def _close(self) -> None:
        for task in self._orders.values():
            task.cancel()
        await asyncio.gather(*self._orders.values(), return_exceptions=True)
        if self._provisioner is not None:
            await self._provisioner.close()
        await self._forecasts_file.write()
        await self.learning.keep()
        self.manager.close(self._clock.now(), self._clock.utc())
        if self.recorder is not None:
            self._record()
            await asyncio.to_thread(self.recorder.close)

    # The loops.

    async def _keep_ticking(self) -> None:
        while True:
            try:
                self.tick()
            except Exception as error:
                # Reports and joins go on: better one look is missed than all of them.
                _log.exception("a look at the fleet failed", error)
            await asyncio.sleep(self.settings.tick_s)

    def tick(self) -> None:
        """Look at everything once, and begin what is to be done."""
        now_s, utc = self._clock.now(), self._clock.utc()
        for order in self.manager.tick(now_s, utc):
            self._do(order)
        self._record()
        if now_s - self._summary_at_s >= _SUMMARY_EVERY_S:
            self._summary_at_s = now_s
            if len(self.events):
                self.events.send("summary", self._summary(utc))

    async def _keep_reconciling(self) -> None:
        while self._provisioner is not None:
            await self._reconcile(self._provisioner)
            await asyncio.sleep(_RECONCILE_EVERY_S)

    async def _reconcile(self, provisioner: Provisioner) -> None:
        """Compare what runs with what is known. A start under way is not looked at."""
        busy = set(self._orders)
        try:
            instances = await provisioner.list()
        except ProvisionFailed as error:
            if self.problem is None:
                _log.error("the provisioner does not answer", reason=error)
            self.problem = str(error)
            return
        self.problem = None
        busy |= set(self._orders)
        looked_at = [instance for instance in instances if instance.server not in busy]
        now_s, utc = self._clock.now(), self._clock.utc()
        for order in self.manager.reconcile(looked_at, now_s, utc):
            self._do(order)

    # Orders.

    def _do(self, order: Order) -> None:
        if self._provisioner is None:
            self._cannot(order)
            return
        server = order.order.server if isinstance(order, Start) else order.server
        before = self._orders.get(server)
        task = asyncio.create_task(self._carry_out(order, self._provisioner, before))
        self._orders[server] = task
        task.add_done_callback(lambda done: self._done(server, done))

    def _done(self, server: str, task: asyncio.Task[None]) -> None:
        if self._orders.get(server) is task:
            del self._orders[server]

    def _cannot(self, order: Order) -> None:
        if isinstance(order, Start):
            why = "no provisioner is configured"
            now_s, utc = self._clock.now(), self._clock.utc()
            self.manager.not_started(order.order.server, why, now_s, utc)

    async def _carry_out(
        self, order: Order, provisioner: Provisioner, before: asyncio.Task[None] | None
    ) -> None:
        """One start or stop, after what was begun before for the same relay."""
        if before is not None:
            await asyncio.wait([before])
        async with self._room:
            if isinstance(order, Start):
                await self._start(order, provisioner)
                return
            try:
                await provisioner.stop(order.server)
            except ProvisionFailed as error:
                _log.error("relay not ended", server=order.server, reason=error)

    async def _start(self, order: Start, provisioner: Provisioner) -> None:
        server = order.order.server
        try:
            instance = await provisioner.start(order.order)
        except ProvisionFailed as error:
            _log.error("relay not started", server=server, reason=error)
            self.manager.not_started(server, str(error), self._clock.now(), self._clock.utc())
            return
        self.manager.started(instance, self._clock.now(), self._clock.utc())

    # What happened.

    def _record(self) -> None:
        for record in self.manager.logbook.take_new():
            if self.recorder is not None:
                self.recorder.put(record)
            match record:
                case DecisionRecord():
                    _log.info(record.action, rule=record.rule, region=record.region, why=record.why)
                    self.events.send("decision", _told(record))
                case Incident():
                    _log.info(record.kind, server=record.server, text=record.text)
                    self.events.send("incident", _told(record))
                case Outcome():
                    self.events.send("outcome", _told(record))
                case DemandRecord():
                    pass

    def _summary(self, utc: float) -> dict[str, Any]:
        """What a live view shows each second."""
        fleet = self.manager.fleet
        return {
            "at_utc": utc,
            "regions": [
                a.model_dump(exclude={"channels"}) for a in region_answers(self.manager, utc)
            ],
            "servers": [
                {
                    "server": s.id,
                    "role": s.role,
                    "region": s.region,
                    "state": s.state,
                    "viewers": s.viewers,
                    "egress_bps": s.egress_bps,
                    "budget_bps": s.budget_bps,
                }
                for s in fleet
            ],
            "tasks": [
                task.model_dump(include=_TASK_SUMMARY)
                for task in tasks_answer(self.manager.placing, self._clock.now()).tasks
            ],
        }

    def _warnings(self) -> Sequence[str]:
        found = [f"provisioner: {self.problem}"] if self.problem else []
        if self.recorder is not None and self.recorder.problem:
            found.append(self.recorder.problem)
        if not self.manager.fleet.serving():
            found.append("no server has reported yet")
        return found

    # What the API and signals ask for.

    def wish(self, changed: Callable[[Manager], None]) -> None:
        """Raises LocalError where wishes cannot be kept; then nothing has changed."""
        before = self.manager.wishes
        changed(self.manager)
        try:
            keep_wishes(self._state_dir, self.manager.wishes)
        except LocalError:
            self.manager.wishes = before
            raise
        self.tick()

    async def reload(self) -> ReloadAnswer:
        """Read the configuration file again and go by it.

        Raises ConfigError for a file that cannot be used; then everything stays as it is.
        """
        async with self._changing:
            try:
                new = await asyncio.to_thread(load, self._config, ManagerSettings)
                regions = await asyncio.to_thread(find_regions, new.regions)
            except (ConfigError, LocalError) as error:
                _log.error("configuration not reloaded; what runs goes on", reason=error)
                raise ConfigError(str(error)) from error
            changes = diff(self.settings, new)
            self.settings = new
            self.manager.change(new)
            self.join.configure(new.join, regions, Keyring(new.access))
            self.steer.configure(new.steering)
            _log.info("configuration reloaded", changed=",".join(changes.changed))
            return ReloadAnswer(
                changed=list(changes.changed), needs_restart=list(changes.needs_restart)
            )

    def calendar(self) -> Sequence[dict[str, Any]]:
        manager = self.manager
        shown = manager.calendar.shown(self._clock.utc(), manager.lead_time_s)
        shares = {e.name: manager.attendance.told(e) for e in manager.calendar.settings.events}
        return [event | {"comes": shares[str(event["name"])]} for event in shown]

    async def old_decision(self, number: str) -> Mapping[str, Any] | None:
        """Raises LocalError where the history cannot be read."""
        if self.recorder is None:
            return None
        return await asyncio.to_thread(self.recorder.read, lambda h: h.decision(number))

    def uptime_s(self) -> float:
        return self._clock.now() - self._began_at_s

    def history_problem(self) -> str | None:
        return self.recorder.problem if self.recorder is not None else None


def _told(record: DecisionRecord | Incident | Outcome) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _boot_name() -> str:
    return secrets.token_hex(4)


def _relay_name(region: str) -> str:
    """A name that was never used: 50 bits of chance, in letters that a URL and a metric take."""
    chance = base64.b32encode(os.urandom(7)).decode().lower().rstrip("=")[:10]
    return f"relay-{re.sub('[^A-Za-z0-9_.-]', '', region)[:_NAME_CHARACTERS_MAX]}-{chance}"


def _url(host: str, port: int) -> str:
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
