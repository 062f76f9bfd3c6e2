"""How many bytes a channel's queues hold at most, between its source and its window (pure).

Every queue on the way has its bound, and says what happens there: the source is held back, or the
encoder's run ends with an error and another takes over. Nothing grows without end, whatever comes.

| queue | bound | at the bound |
|---|---|---|
| source to FFmpeg (`Intake`, `RtmpIngest`, children) | `FED_BYTES_MAX` | the source is held back |
| source off air to its watcher | `WATCHED_BYTES_MAX`, then nothing is held | another watcher |
| FFmpeg to us, a pipe for each rung | `PIPE_BYTES` and one read | FFmpeg is held back |
| a cutter's open segments | `segment_bytes_max` | error: another encoder |
| segments that wait for those of other rungs | `unmatched_bytes_max` | error: another encoder |
| what is pushed by workers, instead of the last three | `pushed_bytes_max` | 503; parts not kept |

With low latency on, pipes, cutters and what waits are there a second time, for parts; the same
bounds hold for them.
"""

from segmenter.ladder import Ladder, Rung

PIPE_BYTES = 1 << 20
"""Room for a key frame at once, so that the encoder does not wait for our turn."""
READ_BYTES = 1 << 18
HEAD_BYTES_MAX = 1 << 18
"""Of what is pushed: a part of 60 frames in 12 rungs has a head of 30 kB."""
BODIES_MAX = 8
"""Pushed to one channel at the same time: two leases of two roles, two kinds each."""
ASIDE_MAX = 4
"""Leases that are not on air whose newest parts are kept."""
HELD_BYTES_MAX = 16 << 20
"""What an intake holds of a source before it holds the source back."""
WATCHED_BYTES_MAX = 8 << 20
"""What a watcher of a source that is not on air may leave unread."""
RTMP_MESSAGE_BYTES_MAX = 8 << 20
"""One frame: 8 MB is a key frame of 4K at far above any broadcast rate."""
RTMP_PENDING_BYTES_MAX = 12 << 20
"""Messages that have begun and not ended."""
RTMP_QUEUE_BYTES_MAX = 4 << 20
HISTORY_BYTES_MAX = 8 << 20
"""What is kept of a fed source, so that another encoder can go on where one has left."""
STDIN_BYTES = 1 << 18
"""FFmpeg's standard input: one write, asyncio's buffer and the kernel's."""

_CHUNK_BYTES_MAX = RTMP_QUEUE_BYTES_MAX + RTMP_MESSAGE_BYTES_MAX
"""All that one connection has waiting; for a child's output, twice 1 MiB, it is less."""
FED_BYTES_MAX = (
    HELD_BYTES_MAX
    + 2 * HISTORY_BYTES_MAX
    + 2 * _CHUNK_BYTES_MAX
    + RTMP_PENDING_BYTES_MAX
    + READ_BYTES
    + STDIN_BYTES
)
"""History counts twice, once as it is handed on again; one chunk may go beyond what is held, and
another gathers behind it. An honest publisher takes a tenth of this."""

_SEGMENT_BYTES_LEAST = 4 << 20
"""A picture of noise goes far beyond a small rung's rate; that alone is no reason to end."""
_MARGIN = 3
"""Encoders keep to their rate buffer, but not to the byte."""
_LATE_S = 1.5
"""A whole segment waits half a second for its sound, and a rate buffer is one second."""


def segment_bytes_max(ladder: Ladder, rung: Rung) -> int:
    """What a cutter may hold of a rung: the segment that grows and the one before it."""
    seconds = float(ladder.segment_duration_s) + _LATE_S
    peak_bytes = ladder.packaged_bps(rung.max_bps) / 8 * seconds
    return max(_SEGMENT_BYTES_LEAST, round(_MARGIN * peak_bytes))


def unmatched_bytes_max(ladder: Ladder) -> int:
    """What may wait of whole segments until every rung has them."""
    return sum(segment_bytes_max(ladder, rung) for rung in ladder.rungs)


def encoder_bytes_max(ladder: Ladder, *, in_parts: bool = False) -> int:
    """All queues from FFmpeg's output to the sink; `in_parts` with low latency on."""
    once = unmatched_bytes_max(ladder) + sum(
        PIPE_BYTES + READ_BYTES + segment_bytes_max(ladder, rung) for rung in ladder.rungs
    )
    return 2 * once if in_parts else once


def body_bytes_max(ladder: Ladder) -> int:
    """No set or part of a channel that is pushed is larger."""
    return HEAD_BYTES_MAX + unmatched_bytes_max(ladder)


def pushed_bytes_max(ladder: Ladder) -> int:
    """What a channel that workers push holds before its sink."""
    return BODIES_MAX * body_bytes_max(ladder) + ASIDE_MAX * unmatched_bytes_max(ladder)
