"""Seeds made of real bytes: what FFmpeg writes into the pipes, publishes, and packages."""

import subprocess
from collections.abc import Sequence

from segmenter import ffmpeg

_LIMIT_S = 120
_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10")
_SOUND = ("-f", "lavfi", "-i", "sine=sample_rate=48000")
_CODED = ("-t", "1", "-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-c:a", "aac")
_FRAGMENTED = "+frag_keyframe+empty_moov+default_base_moof"


def real_seeds(name: str) -> Sequence[bytes]:
    """Beginnings for the target `name`; none where FFmpeg has nothing to say about it."""
    if name in ("ts_cutter", "ts_seal", "hls_ts"):
        head = {"ts_cutter": b"\0", "ts_seal": bytes([128, 0, 0, 0, 0]), "hls_ts": b""}[name]
        return [head + _made("mpegts")]
    if name in ("fmp4", "cmaf_cutter"):
        data = _made("mp4", "-movflags", _FRAGMENTED)
        size = data.index(b"moof") - 4
        return [(size.to_bytes(2, "big") if name == "fmp4" else b"\0") + data]
    return []


def _made(form: str, *options: str) -> bytes:
    command = [ffmpeg.find(), "-v", "error", "-nostdin", *_PICTURE, *_SOUND, *_CODED, *options]
    made = subprocess.run(
        [*command, "-f", form, "pipe:1"], check=True, capture_output=True, timeout=_LIMIT_S
    )
    return made.stdout
