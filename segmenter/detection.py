"""Filters that watch picture and sound for faults: branches of a graph, as pure text.

They look at a thumbnail a few times a second and end in a null sink, so nothing is decoded or
encoded for them. What they find goes to standard output as `metadata` prints it, a few lines a
second: `segmenter.faults` reads it. Tried with FFmpeg 5.1 and 9.0.
"""

from fractions import Fraction

_THUMBNAIL = "64:36"
"""Area-averaged to this size, a still that a publisher encodes again and again hardly changes."""
_FROZEN_NOISE = "-50dB"
"""The mean change up to which two pictures are the same. A still that was encoded at 300 kbit/s,
or has a grain, stays below; pictures of a camera are above -40 dB."""
_SILENCE_NOISE = "-60dB"
_NOTICED_S = 0.5
"""Faults are told when they have lasted this long; the thresholds are those of the reader."""
_LOOKS_PER_S = 5
# direct: line by line, not when 32 kB have gathered.
_PRINT = r"mode=print:direct=1:file=pipe\\:1"


def picture_watch(frame_rate: Fraction) -> str:
    """The chain for pictures of a constant rate."""
    return f"framestep={max(1, round(frame_rate / _LOOKS_PER_S))},{_thumbnail_watch()}"


def key_frame_watch() -> str:
    """The chain for key frames; where every frame is one, two a second will do."""
    return f"select='isnan(prev_selected_t)+gte(t-prev_selected_t,0.4)',{_thumbnail_watch()}"


def sound_watch() -> str:
    """The chain for sound; it tells twice a second that there is some."""
    return (
        f"silencedetect=n={_SILENCE_NOISE}:d={_NOTICED_S},asetnsamples=n=24000"
        f",ametadata=mode=add:key=surgecast:value=sound,ametadata={_PRINT}"
    )


def _thumbnail_watch() -> str:
    return (
        f"scale={_THUMBNAIL}:flags=area,format=yuv420p"
        f",freezedetect=n={_FROZEN_NOISE}:d={_NOTICED_S}"
        # Told at once, whatever its own least duration. A logo in a corner does not hide it.
        ",blackdetect=d=0.1:pic_th=0.98:pix_th=0.1"
        f",metadata=mode=add:key=surgecast:value=picture,metadata={_PRINT}"
    )
