"""Channels made of small made-up segments, for tests of everything that serves them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

import aiohttp
from aiohttp import web

from surgecast.clock import ManualClock
from surgecast.delivery.app import Problems, Serving, build_app, no_problems, serve
from surgecast.delivery.assets import Asset, Reply
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.sessions.remembering import Memory
from surgecast.delivery.sessions.tokens import AccessSettings
from surgecast.delivery.settings import AdaptationSettings, DeliverySettings, SessionSettings
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.segment import Rendition, SegmentSet
from surgecast.media.window import Window, WindowSettings
from surgecast.metrics import Metrics

RUNGS = ("720p", "480p", "360p")


def renditions(rungs: Sequence[str] = RUNGS) -> tuple[Rendition, ...]:
    return tuple(
        Rendition(
            name=name,
            width=int(name[:-1]) * 16 // 9,
            height=int(name[:-1]),
            frame_rate=Fraction(25),
            declared_peak_bps=int(name[:-1]) * 5000,
            declared_average_bps=int(name[:-1]) * 4000,
            codecs="avc1.4d401f,mp4a.40.2",
        )
        for name in rungs
    )


def segment_set(
    msn: int,
    *,
    discontinuity: bool = False,
    slate: bool = False,
    epoch: str = "e0",
    size_bytes: int = 1000,
    duration_s: float = 2.0,
    rungs: Sequence[str] = RUNGS,
) -> SegmentSet:
    payloads = {rung: f"{epoch}/{msn}/{rung}/".encode().ljust(size_bytes, b".") for rung in rungs}
    return SegmentSet(msn, epoch, 1e9 + 2.0 * msn, duration_s, discontinuity, slate, payloads)


def window(next_msn: int = 0, discontinuity_sequence: int = 0, listed: int = 6) -> Window:
    return Window(
        renditions(),
        Fraction(2),
        WindowSettings(window_segments=listed),
        next_msn=next_msn,
        discontinuity_sequence=discontinuity_sequence,
    )


def session_url(entry: Reply) -> str:
    """Of the first playlist that an entry names, below the channel."""
    assert isinstance(entry, Asset)
    return next(line for line in bytes(entry.body).decode().splitlines() if line[0] != "#")


@dataclass(slots=True)
class Show:
    """A served channel called `demo`."""

    directory: Directory
    stage: Stage
    clock: ManualClock
    metrics: Metrics
    serving: Serving
    http: aiohttp.ClientSession

    def publish(self, **values: bool) -> None:
        self.stage.publish(segment_set(self.stage.window.next_msn, **values))


def staged(
    clock: ManualClock,
    *,
    adaptation: AdaptationSettings | None = None,
    sessions: SessionSettings | None = None,
    memory: Memory | None = None,
    size_bytes: int = 1000,
    published: int = 8,
    low_latency: LowLatencyWindow | None = None,
    waiters_max: int = 10_000,
    access: AccessSettings | None = None,
) -> tuple[Directory, Stage]:
    directory = Directory(clock, waiters_max, access=access)
    stage = directory.add(
        "demo",
        window(),
        sessions=sessions or SessionSettings(),
        adaptation=adaptation or AdaptationSettings(),
        memory=memory,
        low_latency=low_latency,
    )
    for msn in range(published):
        stage.publish(segment_set(msn, size_bytes=size_bytes))
    return directory, stage


@asynccontextmanager
async def show(
    *,
    delivery: DeliverySettings | None = None,
    sessions: SessionSettings | None = None,
    routes: Sequence[web.RouteDef] = (),
    warnings: Problems = no_problems,
    size_bytes: int = 1000,
    published: int = 8,
    low_latency: LowLatencyWindow | None = None,
    waiters_max: int = 10_000,
    access: AccessSettings | None = None,
) -> AsyncIterator[Show]:
    clock = ManualClock()
    directory, stage = staged(
        clock,
        sessions=sessions,
        size_bytes=size_bytes,
        published=published,
        low_latency=low_latency,
        waiters_max=waiters_max,
        access=access,
    )
    metrics = Metrics()
    settings = delivery or DeliverySettings(host="127.0.0.1", port=0, connections_max=2000)
    app = build_app(directory, metrics, warnings=warnings, routes=routes)
    async with serve(app, directory, settings) as serving:
        base = f"http://127.0.0.1:{serving.port}"
        async with aiohttp.ClientSession(base) as http:
            yield Show(directory, stage, clock, metrics, serving, http)
