"""Builds fragmented MP4 box by box, as FFmpeg's muxer would, without FFmpeg."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

KEY, DELTA, SOUND = 0x0200_0000, 0x0101_0000, 0x0200_0000
VIDEO_ID, SOUND_ID = 1, 2


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def init_section(video_hz: int = 25_000, sound_hz: int = 48_000, *, mark: bytes = b"") -> bytes:
    """`ftyp` and `moov` of one video and one sound track; `mark` makes another of it."""
    return box(b"ftyp", b"iso5", words(512), b"iso6mp41") + box(
        b"moov",
        full_box(b"mvhd", 0, 0, bytes(96)),
        _trak(VIDEO_ID, b"vide", video_hz, version=0),
        _trak(SOUND_ID, b"soun", sound_hz, version=1),
        box(
            b"mvex",
            full_box(b"trex", 0, 0, words(VIDEO_ID, 1, 0, 0, 0)),
            full_box(b"trex", 0, 0, words(SOUND_ID, 1, 1024, 0, SOUND)),
        ),
        box(b"udta", mark),
    )


def _trak(track_id: int, handler: bytes, ticks_per_s: int, version: int) -> bytes:
    times = bytes(16 if version else 8)
    return box(
        b"trak",
        full_box(b"tkhd", version, 3, times, words(track_id), bytes(72)),
        box(
            b"mdia",
            full_box(b"mdhd", version, 0, times, words(ticks_per_s), bytes(12 if version else 8)),
            full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(13)),
        ),
    )


@dataclass(frozen=True)
class Samples:
    """One track's share of a fragment. `each` duration None: as `trex` says."""

    track_id: int
    start: int
    payloads: Sequence[bytes]
    durations: Sequence[int] | None = None
    flags: int = DELTA
    first_flags: int | None = None
    tfdt_version: int = 1


def video(start: int, payloads: Sequence[bytes], *, key: bool, ticks: int = 1000) -> Samples:
    durations = (ticks,) * len(payloads)
    return Samples(VIDEO_ID, start, payloads, durations, DELTA, KEY if key else None)


def sound(start: int, payloads: Sequence[bytes]) -> Samples:
    """Frames of 1024 ticks, which their `trun` leaves to `trex`."""
    return Samples(SOUND_ID, start, payloads, None, SOUND)


def fragment(*tracks: Samples, sequence: int = 1, offset_error: int = 0) -> bytes:
    """`moof` and `mdat`."""
    size = len(_moof(tracks, [0] * len(tracks), sequence))
    offsets, at = [], size + 8 + offset_error
    for track in tracks:
        offsets.append(at)
        at += sum(map(len, track.payloads))
    data = b"".join(payload for track in tracks for payload in track.payloads)
    return _moof(tracks, offsets, sequence) + box(b"mdat", data)


def _moof(tracks: Sequence[Samples], offsets: Sequence[int], sequence: int) -> bytes:
    mfhd = full_box(b"mfhd", 0, 0, words(sequence))
    return box(b"moof", mfhd, *(_traf(t, at) for t, at in zip(tracks, offsets, strict=True)))


def _traf(track: Samples, offset: int) -> bytes:
    tfhd = full_box(b"tfhd", 0, 0x02_0020, words(track.track_id, track.flags))
    time = struct.pack(">Q" if track.tfdt_version else ">I", track.start)
    tfdt = full_box(b"tfdt", track.tfdt_version, 0, time)
    flags, first = 0x201, b""
    if track.first_flags is not None:
        flags, first = flags | 0x004, words(track.first_flags)
    table = b""
    if track.durations is not None:
        flags |= 0x100
    for number, payload in enumerate(track.payloads):
        if track.durations is not None:
            table += words(track.durations[number])
        table += words(len(payload))
    head = words(len(track.payloads), offset & 0xFFFF_FFFF)
    return box(b"traf", tfhd, tfdt, full_box(b"trun", 0, flags, head, first, table))


def stream(
    frames: int,
    *,
    per_fragment: int = 5,
    gop: int = 50,
    begin: int = 534,
    ticks: int = 1000,
    video_hz: int = 25_000,
    tag: bytes = b"",
) -> bytes:
    """What FFmpeg writes for a rung: sound with one frame of priming, the first frame stretched.

    The payload of frame n begins with `tag` and n, so that a test can find it again.
    """
    out = init_section(video_hz)
    sent = first = 0
    while first < frames:
        count = min(per_fragment, frames - first, gop - first % gop)
        payloads = [tag + words(first + n) + bytes(first % 7) for n in range(count)]
        pictures = video(begin + first * ticks, payloads, key=first % gop == 0, ticks=ticks)
        if first == 0:
            stretched = (begin + ticks, *(ticks,) * (count - 1))
            pictures = Samples(VIDEO_ID, 0, payloads, stretched, DELTA, KEY)
        until = (begin + (first + count) * ticks) * 48_000 // video_hz
        due = -(-until // 1024)
        noise = [b"s" + words(n) for n in range(sent, due)]
        out += fragment(pictures, sound(sent * 1024, noise), sequence=first)
        sent, first = due, first + count
    return out
