"""Channels that check themselves: publications go to the rules, findings to log and metrics.

The rules run on one thread of their own; while it is busy, or has had its share of a core,
publications pass unseen, which is counted. Nothing here can hold up or break a publication.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from surgecast.clock import Clock
from surgecast.delivery.channels import Stage
from surgecast.delivery.self_check import Budget, Judge, Shown, ShownMedia, rung_in_turn
from surgecast.hls.observation import Finding
from surgecast.log import Log
from surgecast.media.low_latency_window import Publication
from surgecast.media.remote import held
from surgecast.media.segment import SegmentSet
from surgecast.metrics import Metrics, Sample

LOGGED_EVERY_S = 60.0
"""A rule that goes on being broken is logged this often."""
WARNED_FOR_S = 600.0
"""`/readyz` speaks of a finding for this long."""


@dataclass(slots=True)
class _Broken:
    """What is remembered of one rule that a channel broke."""

    times: int = 0
    untold: int = 0
    logged_at: float | None = None
    newest_at: float = 0.0
    newest: str = ""


@dataclass(slots=True)
class _Watched:
    """One channel while it is watched."""

    name: str
    plain: Judge = field(default_factory=Judge)
    parts: Judge = field(default_factory=Judge)
    broken: dict[str, _Broken] = field(default_factory=dict)
    unseen: int = 0
    """Publications that nobody looked at."""
    busy: set[Judge] = field(default_factory=set)
    part_number: int = 0
    unsubscribe: list[Callable[[], None]] = field(default_factory=list)


class SelfChecker:
    """All channels of a process that check themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._budget = Budget()
        self._watched: dict[str, _Watched] = {}
        self._jobs: set[asyncio.Future[Any]] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="self-check")
        self._log = Log("surgecast.self_check")

    def watch(self, stage: Stage) -> None:
        """Look at what this channel publishes from now on."""
        self.forget(stage.name)
        channel = self._watched[stage.name] = _Watched(stage.name)

        def segments(published: SegmentSet, _gone: Sequence[SegmentSet]) -> None:
            self._offer(channel, channel.plain, lambda: _of_segments(stage, published, self._now()))

        channel.unsubscribe.append(stage.window.subscribe(segments))
        if stage.low_latency is not None:

            def parts(publication: Publication) -> None:
                channel.part_number += 1
                self._offer(
                    channel,
                    channel.parts,
                    lambda: _of_parts(stage, publication, channel.part_number, self._now()),
                )

            channel.unsubscribe.append(stage.low_latency.window.subscribe(parts))

    def forget(self, name: str) -> None:
        """The channel is taken off."""
        channel = self._watched.pop(name, None)
        for unsubscribe in channel.unsubscribe if channel else ():
            unsubscribe()

    async def settled(self) -> None:
        """Return when no look is under way."""
        while self._jobs:
            await asyncio.wait(self._jobs)

    async def close(self) -> None:
        """Let the thread end."""
        for name in tuple(self._watched):
            self.forget(name)
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    def warnings(self) -> list[str]:
        """A sentence for each channel that lately broke a rule."""
        now, told = self._now(), []
        for channel in self._watched.values():
            recent = {
                rule: broken
                for rule, broken in channel.broken.items()
                if now - broken.newest_at < WARNED_FOR_S
            }
            if recent:
                newest = max(recent.values(), key=lambda broken: broken.newest_at)
                rules = ", ".join(f"{rule} ({broken.times} x)" for rule, broken in recent.items())
                told.append(f"channel {channel.name}: breaks {rules}; newest: {newest.newest}")
        return told

    # Inside.

    def _now(self) -> float:
        return self._clock.now()

    def _offer(self, channel: _Watched, judge: Judge, shown: Callable[[], Shown | None]) -> None:
        """Hand a publication to the thread, if that has time. Raises nothing."""
        try:
            if judge in channel.busy or not self._budget.due(self._now()):
                channel.unseen += 1
                return
            what = shown()
            if what is None:
                return
            loop = asyncio.get_running_loop()
            job = loop.run_in_executor(self._thread, _timed, judge, what)
            channel.busy.add(judge)
            self._jobs.add(job)
            job.add_done_callback(lambda done: self._take(channel, judge, done))
        except Exception as error:
            self._log.exception("self check failed", error, channel=channel.name)

    def _take(
        self,
        channel: _Watched,
        judge: Judge,
        done: asyncio.Future[tuple[list[Finding], float]],
    ) -> None:
        channel.busy.discard(judge)
        self._jobs.discard(done)
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._log.exception("self check failed", error, channel=channel.name)
            return
        found, cpu_s = done.result()
        self._budget.worked(cpu_s)
        for finding in found:
            self._note(channel, finding)

    def _note(self, channel: _Watched, finding: Finding) -> None:
        now = self._now()
        broken = channel.broken.setdefault(finding.rule, _Broken())
        broken.times += 1
        broken.newest_at, broken.newest = now, str(finding)
        if broken.logged_at is not None and now - broken.logged_at < LOGGED_EVERY_S:
            broken.untold += 1
            return
        self._log.warning(
            "a rule is broken",
            channel=channel.name,
            rule=finding.rule,
            severity=finding.severity.value,
            url=finding.where,
            line=finding.line.number if finding.line else None,
            text=finding.line.text if finding.line else None,
            what=finding.what,
            untold=broken.untold,
        )
        broken.logged_at, broken.untold = now, 0

    # Metrics.

    def show(self, metrics: Metrics) -> None:
        """Show findings, looks and what they cost."""
        metrics.counter(
            "surgecast_self_check_findings",
            "Rules found broken in what a channel publishes",
            ("channel", "rule"),
            lambda: [
                Sample(broken.times, (name, rule))
                for name, channel in self._watched.items()
                for rule, broken in channel.broken.items()
            ],
        )
        metrics.counter(
            "surgecast_self_check_looks",
            "What the self check has looked at",
            ("channel", "look"),
            lambda: [
                Sample(count, (name, look.value))
                for name, channel in self._watched.items()
                for look, count in (
                    Counter(channel.plain.looks) + Counter(channel.parts.looks)
                ).items()
            ],
        )
        metrics.counter(
            "surgecast_self_check_unseen",
            "Publications that went unseen, because the self check had no time",
            ("channel",),
            lambda: [Sample(channel.unseen, (name,)) for name, channel in self._watched.items()],
        )
        metrics.counter(
            "surgecast_self_check_cpu_seconds",
            "Processor time of the self check",
            (),
            lambda: [Sample(self._budget.used_s)],
        )


def _timed(judge: Judge, shown: Shown) -> tuple[list[Finding], float]:
    """On the thread: the findings, and the processor time they took."""
    began = time.thread_time()
    found = judge.look(shown)
    return found, time.thread_time() - began


def _of_segments(stage: Stage, published: SegmentSet, now: float) -> Shown | None:
    """All media playlists, and the segment of one rung."""
    window, base = stage.window, f"/live/{stage.name}/"
    rungs = [rendition.name for rendition in window.renditions]
    texts = {f"{base}{rung}/media.m3u8": window.playlist(rung) for rung in rungs}
    bodies = {url: text.body for url, text in texts.items() if text is not None}
    if not bodies:
        return None
    rung = rung_in_turn(rungs, published.msn)
    media = ShownMedia(
        url=base + published.object_name(rung),
        playlist_url=f"{base}{rung}/media.m3u8",
        payload=held(published.payloads[rung]),
        init=None,
        msn=published.msn,
        duration_s=published.duration_s,
        discontinuity=published.discontinuity,
    )
    multivariant = (f"{base}index.m3u8", window.multivariant().body)
    return Shown(now, bodies, list(texts), multivariant, media)


def _of_parts(stage: Stage, publication: Publication, number: int, now: float) -> Shown | None:
    """The media playlist and the part of one rung; where a segment is whole, what comes with it."""
    assert stage.low_latency is not None, "only subscribed where there are parts"
    window, base, parts = stage.low_latency.window, f"/live/{stage.name}/", publication.parts
    rung = rung_in_turn(window.rungs, number)
    url = f"{base}ll/{rung}/media.m3u8"
    text = window.playlist(rung)
    if text is None or parts is None:
        return None
    media = ShownMedia(
        url=base + parts.object_name(rung),
        playlist_url=url,
        payload=held(parts.payloads[rung]),
        init=held(parts.init.payloads[rung]),
        msn=parts.msn,
        part=parts.index,
        duration_s=parts.duration_s,
        discontinuity=parts.discontinuity,
        independent=parts.independent,
    )
    renditions = [f"{base}ll/{other}/media.m3u8" for other in window.rungs]
    whole = parts.last or number == 1
    update = window.playlist(rung, delta=True) if whole else None
    return Shown(
        now,
        {url: text.body},
        renditions,
        (f"{base}ll.m3u8", window.multivariant().body) if whole else None,
        media,
        None if update is None else (url, update.body),
    )
