"""Writes low-latency parts: one `moof` and `mdat` from runs of samples, on the channel's timeline.

FFmpeg's own headers are not kept. It starts each run at zero, may fragment elsewhere when sound
comes late, and stretches the first frame back over the encoder's priming; a part must hold the
same frames in every rung, whatever FFmpeg did.
"""

import struct
from collections.abc import Sequence

from segmenter.cmaf import Run

_MOOF = struct.Struct(">I4s I4sII")
"""moof; mfhd: version, sequence number."""
_TRAF = struct.Struct(">I4s I4sIII I4sIQ I4sIIII")
"""traf; tfhd: flags, track, sample flags; tfdt: version, time; trun: flags, count, where the data
begins, flags of the first sample."""
_TFHD_FLAGS = 0x02_0020
"""Data counts from the moof; flags of samples by default."""
_TRUN_FLAGS = 0x305
"""Where the data begins, flags of the first sample, each sample's duration and size."""
_MDAT = struct.Struct(">I4s")


def chunk(sequence: int, tracks: Sequence[tuple[int, Run]]) -> bytes:
    """One part: `sequence` counts parts; each track's number with its samples, in order.

    The starts of the runs are final. Only the first sample of a run can be a key frame.
    """
    heads = [_TRAF.size + 8 * len(run.sizes) for _, run in tracks]
    moof_bytes = _MOOF.size + sum(heads)
    pieces = [_MOOF.pack(moof_bytes, b"moof", 16, b"mfhd", 0, sequence & 0xFFFF_FFFF)]
    data_at = moof_bytes + _MDAT.size
    for (track_id, run), size in zip(tracks, heads, strict=True):
        pieces += _traf(track_id, run, size, data_at)
        data_at += len(run.data)
    pieces.append(_MDAT.pack(data_at - moof_bytes, b"mdat"))
    pieces += [run.data for _, run in tracks]
    return b"".join(pieces)


def _traf(track_id: int, run: Run, size: int, data_at: int) -> tuple[bytes, bytes]:
    count = len(run.sizes)
    # What follows the first sample is like the last: sound is all alike, video but for its key.
    first, others = run.flags[0], run.flags[-1]
    table = [0] * (2 * count)
    table[::2], table[1::2] = run.durations, run.sizes
    head = _TRAF.pack(
        *(size, b"traf"),
        *(20, b"tfhd", _TFHD_FLAGS, track_id, others),
        *(20, b"tfdt", 1 << 24, run.start),
        *(24 + 8 * count, b"trun", _TRUN_FLAGS, count, data_at, first),
    )
    return head, struct.pack(f">{2 * count}I", *table)
