"""What the cost of encoding a channel is predicted from, made from its settings (pure).

One place for all who need it: the origin tells it to the manager before anything runs, a worker
tells what it really encodes, `surgecast segment --signature` prints it for `surgecast place`.
"""

from segmenter.encoding import ladder_before_source
from segmenter.ladder import Ladder, decide
from segmenter.settings import SegmentSettings, TestSource
from segmenter.source import test_info
from segmenter.source_info import SourceInfo
from surgecast.control.messages import Complexity, RungSignature, Signature


def signature_of(
    settings: SegmentSettings,
    info: SourceInfo | None = None,
    *,
    ladder: Ladder | None = None,
    preset: str = "",
    complexity: Complexity | None = None,
) -> Signature | None:
    """The signature of a channel; None where its source must be seen first.

    `info` is what the source is, as far as somebody has looked; `ladder` what was decided already;
    `preset` the one in force where it is not that of the settings. Raises ConfigError where the
    ladder fits no H.264 level.
    """
    if info is None and isinstance(settings.source, TestSource):
        info = test_info(settings.source)
    if ladder is None and info is not None:
        ladder = decide(settings.ladder, info, settings.segment_duration_s)
    ladder = ladder or ladder_before_source(settings)
    if ladder is None:
        return None
    rate = float(ladder.frame_rate)
    top = ladder.rungs[0]
    return Signature(
        codec=info.codec[:32] if info else "h264",
        # Until the source was seen: that it is as large as its highest rung.
        width=info.width if info else top.width,
        height=info.height if info else top.height,
        frame_rate=float(info.frame_rate) if info and info.frame_rate else rate,
        source_bps=float(info.bitrate_bps or 0) if info else 0.0,
        complexity=complexity,
        preset=preset or ladder.preset,
        low_latency=settings.low_latency.enabled,
        rungs=[
            RungSignature(
                rung=rung.name,
                width=rung.width,
                height=rung.height,
                frame_rate=rate,
                video_bps=float(rung.video_bps),
            )
            for rung in ladder.rungs
        ],
    )
