"""Builds transport streams packet by packet, as FFmpeg's muxer would, without FFmpeg."""

import random

from segmenter.ts import AUDIO_PID, PACKET_BYTES, VIDEO_PID

SPS = bytes.fromhex("0000000167 4d401f ec".replace(" ", ""))
TICKS_WRAP = 1 << 33


def pes(
    pid: int,
    pts: int,
    body: bytes,
    *,
    key: bool = False,
    pcr: int | None = None,
    counter: int = 0,
) -> bytes:
    """One PES as whole transport packets with PTS `pts`; `key` sets the random-access indicator."""
    pts %= TICKS_WRAP
    stamp = bytes(
        [
            0x21 | pts >> 29 & 0x0E,
            pts >> 22 & 0xFF,
            pts >> 14 & 0xFE | 1,
            pts >> 7 & 0xFF,
            pts << 1 & 0xFE | 1,
        ]
    )
    stream_id = b"\xe0" if pid == VIDEO_PID else b"\xc0"
    data = b"\x00\x00\x01" + stream_id + b"\x00\x00\x80\x80\x05" + stamp + body
    packets = b""
    first = True
    while data or first:
        field = b""
        if first and (key or pcr is not None):
            field = bytes([(0x40 if key else 0) | (0x10 if pcr is not None else 0)])
            if pcr is not None:
                base = pcr % TICKS_WRAP
                field += (base << 15 | 0x7E00).to_bytes(6, "big")
        room = PACKET_BYTES - 4 - (1 + len(field) if field else 0)
        chunk, data = data[:room], data[room:]
        stuffing = room - len(chunk)
        if stuffing and not field:
            field = b"\x00" if stuffing > 1 else b""
            length = stuffing - 1
            adaptation = bytes([length]) + (field + b"\xff" * length)[:length]
        elif field or stuffing:
            length = len(field) + stuffing
            adaptation = bytes([length]) + field + b"\xff" * stuffing
        else:
            adaptation = b""
        control = (0x30 if adaptation else 0x10) | counter % 16
        head = bytes([0x47, (0x40 if first else 0) | pid >> 8, pid & 0xFF, control])
        packets += head + adaptation + chunk
        first = False
        counter += 1
    return packets


def stream(
    *,
    segments: int = 3,
    frames: int = 5,
    frame_ticks: int = 3600,
    start: int = 10_000,
    seed: int = 0,
    sound: bool = True,
    late_sound: int = 0,
    tail: bool = True,
) -> bytes:
    """Whole GOPs of `frames` frames, and sound every 1920 ticks.

    `late_sound` writes each sound that many ticks of video after its time. With `tail`, one more
    key frame and its sound follow, so that the last whole segment can be completed.
    """
    rng = random.Random(seed)
    count = segments * frames + (1 if tail else 0)
    units = []
    for number in range(count):
        key = number % frames == 0
        pts = start + number * frame_ticks
        body = (SPS if key else b"\x00\x00\x01\x41") + rng.randbytes(rng.randint(1, 900))
        units.append((pts, 0, pes(VIDEO_PID, pts, body, key=key, pcr=pts)))
    end = start + count * frame_ticks
    if sound:
        for number, pts in enumerate(range(start - 500, end, 1920)):
            body = bytes([number % 256]) * 150
            units.append((pts + late_sound, 1, pes(AUDIO_PID, pts, body, key=True)))
    units.sort(key=lambda unit: unit[:2])
    return b"".join(packets for _, _, packets in units)
