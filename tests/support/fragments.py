"""Fragmented MP4 made in code, right by default, wrong where a test asks for it.

One part is ten pictures of 512 ticks of 12800 (0.4 s) and as much silence; a segment is the
concatenation of its parts.
"""

from dataclasses import dataclass, replace

from tests.support.transport_stream import sps

PART_S, PARTS = 0.4, 5
SEGMENT_S = PART_S * PARTS
FRAMES, FRAME_TICKS, TIMESCALE = 10, 512, 12_800
SOUND_FRAMES, SOUND_TICKS, SOUND_TIMESCALE = 20, 960, 48_000
VIDEO, AUDIO = 1, 2
_SYNC, _NOT_SYNC = 0x02000000, 0x01010000


@dataclass(frozen=True)
class Chunk:
    """What a part is made of; every default keeps the rules."""

    msn: int = 0
    index: int = 0
    start_ticks: int | None = None
    """Of the picture; None for where this part belongs."""
    frames: int = FRAMES
    sync: bool | None = None
    """None: the first part of a segment starts with a key frame."""
    idr: bool = True
    reordered: bool = False
    sound_byte: int = 0
    sound_late_ticks: int = 0
    audio_id: int = AUDIO
    outside: bool = False
    """True: the samples reach past the end of mdat."""


def box(kind: str, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return (8 + len(payload)).to_bytes(4, "big") + kind.encode() + payload


def full(kind: str, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, bytes([version]), flags.to_bytes(3, "big"), *parts)


def u32(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


def _avc(width: int, height: int, level: int) -> bytes:
    unit = sps(width, height, level)
    config = bytes([1, *unit[1:4], 0xFF, 0xE1]) + len(unit).to_bytes(2, "big") + unit
    head = bytes(24) + width.to_bytes(2, "big") + height.to_bytes(2, "big") + bytes(50)
    return box("avc1", head, box("avcC", config, b"\1\0\4\x68\xce\x38\x80"))


def _track(track_id: int, handler: str, timescale: int, entry: bytes) -> bytes:
    return box(
        "trak",
        full("tkhd", u32(0, 0, track_id), bytes(68)),
        box(
            "mdia",
            full("mdhd", u32(0, 0, timescale, 0), bytes(4)),
            full("hdlr", bytes(4), handler.encode(), bytes(13)),
            box("minf", box("stbl", full("stsd", u32(1), entry))),
        ),
    )


def init(width: int = 320, height: int = 176, level: int = 31, timescale: int = TIMESCALE) -> bytes:
    """An initialization section."""
    sound = box("mp4a", bytes(28))
    return box("ftyp", b"iso5", u32(512), b"iso5mp41") + box(
        "moov",
        full("mvhd", bytes(96)),
        _track(VIDEO, "vide", timescale, _avc(width, height, level)),
        _track(AUDIO, "soun", SOUND_TIMESCALE, sound),
        box(
            "mvex",
            full("trex", u32(VIDEO, 1, 0, 0, 0)),
            full("trex", u32(AUDIO, 1, SOUND_TICKS, 0, 0)),
        ),
    )


def _pictures(chunk: Chunk) -> list[bytes]:
    key = chunk.index == 0 if chunk.sync is None else chunk.sync
    units = [b"\x65\x88" if key and chunk.idr and not place else b"\x41\x9a" for place in range(99)]
    return [u32(len(unit)) + unit for unit in units[: chunk.frames]]


def _video(chunk: Chunk, pictures: list[bytes], offset: int) -> bytes:
    start = chunk.start_ticks
    if start is None:
        start = (chunk.msn * PARTS + chunk.index) * FRAMES * FRAME_TICKS
    key = chunk.index == 0 if chunk.sync is None else chunk.sync
    first = _SYNC if key else _NOT_SYNC
    flags = 0x205 | (0x800 if chunk.reordered else 0)
    shift = u32(FRAME_TICKS) if chunk.reordered else b""
    samples = b"".join(u32(len(picture)) + shift for picture in pictures)
    return box(
        "traf",
        full("tfhd", u32(VIDEO, FRAME_TICKS, _NOT_SYNC), flags=0x020028),
        full("tfdt", start.to_bytes(8, "big"), version=1),
        full("trun", u32(len(pictures), offset, first), samples, flags=flags),
    )


def _sound(chunk: Chunk, offset: int) -> bytes:
    start = (chunk.msn * PARTS + chunk.index) * SOUND_FRAMES * SOUND_TICKS + chunk.sound_late_ticks
    sizes = u32(*[4] * SOUND_FRAMES)
    return box(
        "traf",
        full("tfhd", u32(chunk.audio_id), flags=0x020000),
        full("tfdt", u32(start)),
        full("trun", u32(SOUND_FRAMES, offset), sizes, flags=0x201),
    )


def chunk(recipe: Chunk | None = None, **changes: object) -> bytes:
    """The bytes of a part: `moof` and `mdat`."""
    recipe = replace(recipe or Chunk(), **changes)  # type: ignore[arg-type]
    pictures = _pictures(recipe)
    sound = bytes([recipe.sound_byte]) * 4 * SOUND_FRAMES
    payload = b"".join(pictures) + sound

    def moof(offset: int) -> bytes:
        sequence = full("mfhd", u32(recipe.msn * PARTS + recipe.index + 1))
        behind = offset + len(payload) - len(sound)
        return box("moof", sequence, _video(recipe, pictures, offset), _sound(recipe, behind))

    offset = len(moof(0)) + 8 + (len(payload) if recipe.outside else 0)
    return moof(offset) + box("mdat", payload)


def segment(msn: int, **changes: object) -> bytes:
    """A whole segment."""
    return b"".join(chunk(msn=msn, index=index, **changes) for index in range(PARTS))
