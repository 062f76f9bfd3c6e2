"""Learning in a running manager: fits in a process of their own, versions and samples kept.

The learner decides (`learner`); this gives it what it cannot have itself. Nothing that is placed
waits for any of it: a fit that fails, a disk or a database that refuses is told once and tried
again, and placement goes on with what it has.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from surgecast.clock import Clock
from surgecast.control.transcoding import WorkerReport
from surgecast.errors import LocalError, RemoteError
from surgecast.log import Log
from traffic_manager.fitting import run_outside
from traffic_manager.placement.costs.cost import Prior, ThumbPrior
from traffic_manager.placement.costs.learner import Learner
from traffic_manager.placement.costs.model_store import ModelStore, StoredModel
from traffic_manager.placement.costs.prior_file import shipped_prior
from traffic_manager.placement.costs.samples import Expected, Sample, Sampler, SampleSettings
from traffic_manager.placement.settings import PlacementSettings
from traffic_manager.record.recorder import Recorder
from traffic_manager.record.records import SampleRecord

KIND = "placement"
_LOOK_EVERY_S = 1.0
_FIT_TIMEOUT_S = 60.0
_RETRY_AFTER_S = 60.0
_KEEP_EVERY_S = 300.0
_RECALLED_MAX = 1000

_log = Log("surgecast.placement")


def learning_for(
    settings: PlacementSettings, folder: Path, clock: Clock, told: Callable[[str], None]
) -> "Learning":
    """As the settings say, from the shipped prior; versions are kept below `folder`."""
    prior: Prior
    try:
        prior = shipped_prior()
    except LocalError as error:
        _log.error("costs are predicted by a rule of thumb", reason=error)
        prior = ThumbPrior()
    sampler = Sampler(SampleSettings(constant_s=settings.constant_s))
    return Learning(
        Learner(prior, worker_kind=settings.predictor, past=sampler.past.features),
        sampler,
        clock,
        store=ModelStore(folder / "models"),
        told=told,
    )


class Learning:
    """Samples in from reports; fits and versions as they come due."""

    def __init__(
        self,
        learner: Learner,
        sampler: Sampler,
        clock: Clock,
        *,
        store: ModelStore | None = None,
        told: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`told` takes a sentence about something that went wrong or was found."""
        self.learner, self.sampler = learner, sampler
        self._clock, self._store, self._told = clock, store, told
        self.versions: list[StoredModel] = []
        """On disk, newest first."""
        self._recorder: Recorder | None = None
        self._kept_at_s, self._kept_samples = clock.now(), 0
        self._not_before_s = float("-inf")
        self.fits, self.fits_failed = 0, 0
        self.fit_took_s: float | None = None

    async def start(self, recorder: Recorder | None = None) -> None:
        """Go on with what was learned: the newest version, then samples on record. Of those from
        before the version only how workers fared is learned, which is in no version."""
        self._recorder = recorder
        found = None
        if self._store is not None:
            found = await asyncio.to_thread(self._store.load, KIND, self._restored)
            self.versions = await asyncio.to_thread(self._store.every, KIND)
            self._tell_learner()
            if self._store.problem is not None:
                self._told(self._store.problem)
        samples = await self._recorded()
        known_until_utc = -math.inf if found is None else found[1].made_at_utc
        self.learner.recall(samples, known_until_utc)
        version = None if found is None else found[1].version
        _log.info("what was learned goes on", version=version, samples=len(samples))

    def report(self, report: WorkerReport, expected: Mapping[str, Expected] | None = None) -> None:
        """Of a worker that was believed; the sample that is due with it is learned."""
        sample = self.sampler.take(report, self._clock.utc(), expected)
        if sample is not None:
            self._learn(sample)

    async def run(self) -> None:
        """Fit and keep what is due, until cancelled."""
        while True:
            if not await self.look():
                await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self) -> bool:
        """What is due now; whether there was a fit."""
        now_s = self._clock.now()
        if now_s - self._kept_at_s >= _KEEP_EVERY_S:
            await self.keep()
        job = self.learner.wanted_fit() if now_s >= self._not_before_s else None
        if job is None:
            return False
        try:
            self.learner.fitted(job, await run_outside(job, timeout_s=_FIT_TIMEOUT_S))
        except (LocalError, ValueError, KeyError, TypeError) as error:
            self.fits_failed += 1
            self._not_before_s = now_s + _RETRY_AFTER_S
            self._told(f"no model of workers fitted: {error}; the one before goes on")
            return True
        self.fits += 1
        self.fit_took_s = self._clock.now() - now_s
        return True

    async def keep(self) -> None:
        """A version on disk, if anything was learned since the last."""
        self._kept_at_s = self._clock.now()
        if self._store is None or self.learner.learned == self._kept_samples:
            return
        facts = {"samples": self.learner.learned, "mape": self.learner.mape()}
        try:
            await self._put(self._store, self.learner.save(), facts)
        except LocalError as error:
            self._told(str(error))

    async def roll_back(self, version: int) -> None:
        """Go on with what was known of costs in a version, which becomes the newest one.

        Raises RemoteError for a version that is not there, LocalError where it cannot be kept.
        """
        found = next((each for each in self.versions if each.version == version), None)
        if found is None or self._store is None:
            there = ", ".join(str(each.version) for each in self.versions) or "none yet"
            raise RemoteError(f"there is no version {version} of costs; allowed: {there}")
        content, facts = found.content, {**found.facts, "of_version": version}
        # First on disk: what cannot be kept would come back with the next start.
        await self._put(self._store, content, facts)
        self.learner.roll_back(content)
        self._told(f"costs of transcoding are those of version {version} again")

    async def _put(self, store: ModelStore, content: bytes, facts: Mapping[str, Any]) -> None:
        kept = await asyncio.to_thread(store.put, KIND, content, self._clock.utc(), facts)
        self._kept_samples = self.learner.learned
        self.versions = [kept, *self.versions][: store.versions_max]
        self._tell_learner()

    def _tell_learner(self) -> None:
        self.learner.versions = [each.content for each in self.versions]

    def _learn(self, sample: Sample) -> None:
        event = self.learner.learn(sample)
        if event is not None:
            self._told(str(event))
        if self._recorder is not None:
            self._recorder.put(SampleRecord(**sample.row()))

    def _restored(self, content: bytes) -> bool:
        self.learner.restore(content)
        return True

    async def _recorded(self) -> list[Sample]:
        """The last samples on record; none where the database is away."""
        recorder = self._recorder
        if recorder is None:
            return []
        try:
            rows = await asyncio.to_thread(
                recorder.read, lambda history: history.last_samples(_RECALLED_MAX)
            )
        except LocalError as error:
            self._told(f"samples of before not read: {error}")
            return []
        found = []
        for row in rows:
            try:
                found.append(Sample.of_row(row))
            except (ValueError, KeyError, TypeError) as error:
                _log.warning("a sample on record is left out", reason=error)
        return found
