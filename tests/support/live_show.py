"""A served channel in real time: made-up segments of a second, published as a clock goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

from surgecast.clock import RealClock
from surgecast.delivery.app import build_app, serve
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.settings import AdaptationSettings, DeliverySettings, SessionSettings
from surgecast.hls.ts import PACKET_BYTES
from surgecast.media.segment import SegmentSet
from surgecast.media.window import Window, WindowSettings
from surgecast.metrics import Metrics
from tests.support.shows import RUNGS, renditions

SEGMENT_S = 1.0
LISTED = 8


@dataclass(slots=True)
class LiveShow:
    """The channel `demo`."""

    url: str
    stage: Stage


@asynccontextmanager
async def live_show(*, session_expiry_s: float = 60.0) -> AsyncIterator[LiveShow]:
    clock = RealClock()
    directory = Directory(clock, 1000)
    stage = directory.add(
        "demo",
        Window(renditions(), Fraction(1), WindowSettings(window_segments=LISTED)),
        sessions=SessionSettings(session_expiry_s=session_expiry_s),
        adaptation=AdaptationSettings(),
    )
    began_utc = clock.utc() - LISTED * SEGMENT_S
    for msn in range(LISTED):
        stage.publish(_set(msn, began_utc))
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=2000)
    async with serve(build_app(directory, Metrics()), directory, settings) as serving:
        publishing = asyncio.create_task(_publish(stage, began_utc, clock))
        try:
            yield LiveShow(f"http://127.0.0.1:{serving.port}/live/demo/", stage)
        finally:
            publishing.cancel()
            await asyncio.wait([publishing])


async def _publish(stage: Stage, began_utc: float, clock: RealClock) -> None:
    while True:
        msn = stage.window.next_msn
        await asyncio.sleep(max(0.0, began_utc + (msn + 1) * SEGMENT_S - clock.utc()))
        stage.publish(_set(msn, began_utc))


def _set(msn: int, began_utc: float) -> SegmentSet:
    body = bytes(PACKET_BYTES) * 50
    start_utc = began_utc + msn * SEGMENT_S
    return SegmentSet(msn, "e0", start_utc, SEGMENT_S, False, False, dict.fromkeys(RUNGS, body))
