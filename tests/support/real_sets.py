"""Segment and part sets whose bytes can be read, for tests of what looks inside."""

from fractions import Fraction

from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.segment import Rendition, SegmentSet
from surgecast.media.window import Window, WindowSettings
from tests.support import fragments, transport_stream
from tests.support.fragments import PART_S, PARTS, SEGMENT_S
from tests.support.transport_stream import DURATION_S

SIZES = {"360p": (640, 352), "180p": (320, 176)}
START_UTC = 1_800_000_000.0


def renditions() -> tuple[Rendition, ...]:
    return tuple(
        Rendition(name, width, height, Fraction(25), 400_000, 300_000, "avc1.4d401f,mp4a.40.2")
        for name, (width, height) in SIZES.items()
    )


def window() -> Window:
    # As long as the segments of tests are, not as long as they should be: R18 and R7 hold.
    return Window(renditions(), Fraction(2), WindowSettings(window_segments=6))


def low_latency_window() -> LowLatencyWindow:
    settings = WindowSettings(window_segments=10)
    return LowLatencyWindow(renditions(), Fraction(2), PART_S, settings)


def segment_set(msn: int, *, discontinuity: bool = False, **changes: object) -> SegmentSet:
    payloads = {
        name: transport_stream.segment(**{"msn": msn, "width": w, "height": h, **changes})
        for name, (w, h) in SIZES.items()
    }
    start_utc = START_UTC + msn * DURATION_S
    return SegmentSet(msn, "e0", start_utc, DURATION_S, discontinuity, False, payloads)


INIT = InitSet("e0", {name: fragments.init(w, h) for name, (w, h) in SIZES.items()})


def part_set(msn: int, index: int, **changes: object) -> PartSet:
    return PartSet(
        msn=msn,
        index=index,
        epoch="e0",
        start_utc=START_UTC + msn * SEGMENT_S + index * PART_S,
        duration_s=PART_S,
        independent=index == 0,
        discontinuity=False,
        last=index == PARTS - 1,
        slate=False,
        init=INIT,
        payloads={
            name: fragments.chunk(**{"msn": msn, "index": index, **changes}) for name in SIZES
        },
    )
