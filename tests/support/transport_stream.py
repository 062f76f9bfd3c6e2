"""MPEG-TS segments made in code, right by default, wrong where a test asks for it.

One segment is 48 pictures of 3840 ticks (2.048 s) and as much silence as ADTS frames of 1920
ticks, so that sound and picture end together and every PID has a multiple of 16 packets.
"""

from dataclasses import dataclass

from surgecast.hls.ts import PACKET_BYTES, PAT_PID, SDT_PID

DURATION_S = 2.048
FRAMES, FRAME_TICKS = 48, 3840
SOUND_PACKETS, ADTS_PER_PACKET, ADTS_TICKS = 16, 6, 1920
PMT, VIDEO, AUDIO = 4096, 256, 257


@dataclass(frozen=True)
class Recipe:
    """What a segment is made of; every default keeps the rules."""

    msn: int = 0
    start_pts: int | None = None
    width: int = 320
    height: int = 176
    level: int = 31
    first_counter: int = 0
    psi_counter: int | None = None
    sdt: bool = False
    psi_first: bool = True
    random_access: bool = True
    parameter_sets: bool = True
    idr: bool = True
    reordered: bool = False
    frames: int = FRAMES
    skipped_counter: bool = False
    sound_byte: int = 0
    audio_pid: int = AUDIO


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, count: int) -> "_Bits":
        self.text += f"{value:0{count}b}"
        return self

    def golomb(self, value: int) -> "_Bits":
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code
        return self

    def bytes(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")


def sps(width: int, height: int, level: int = 31) -> bytes:
    """A main-profile parameter set; the size must be even."""
    columns, rows = -(-width // 16), -(-height // 16)
    bits = _Bits().golomb(0).golomb(0).golomb(2).golomb(1).put(0, 1)
    bits.golomb(columns - 1).golomb(rows - 1).put(1, 1).put(1, 1)
    right, bottom = (columns * 16 - width) // 2, (rows * 16 - height) // 2
    bits.put(bool(right or bottom), 1)
    if right or bottom:
        bits.golomb(0).golomb(right).golomb(0).golomb(bottom)
    return bytes([0x67, 77, 0x40, level]) + bits.put(0, 1).bytes()


def _stamp(prefix: int, ticks: int) -> bytes:
    return bytes(
        [
            prefix << 4 | (ticks >> 30 & 7) << 1 | 1,
            ticks >> 22 & 0xFF,
            (ticks >> 15 & 0x7F) << 1 | 1,
            ticks >> 7 & 0xFF,
            (ticks & 0x7F) << 1 | 1,
        ]
    )


def pes(stream_id: int, pts: int, payload: bytes, dts: int | None = None) -> bytes:
    """A PES packet with its time stamps."""
    stamps = _stamp(2, pts) if dts is None else _stamp(3, pts) + _stamp(1, dts)
    flags = 0x80 if dts is None else 0xC0
    return b"\0\0\1" + bytes([stream_id, 0, 0, 0x80, flags, len(stamps)]) + stamps + payload


def packet(pid: int, counter: int, payload: bytes, random_access: bool = False) -> bytes:
    """One packet that starts a unit, stuffed to its full length."""
    head = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF])
    space = PACKET_BYTES - 4 - len(payload)
    if pid in (PAT_PID, SDT_PID, PMT):
        return head + bytes([0x10 | counter]) + payload + b"\xff" * space
    assert space >= 2, "the payload must leave room for the adaptation field"
    adaptation = bytes([space - 1, 0x40 if random_access else 0]) + b"\xff" * (space - 2)
    return head + bytes([0x30 | counter]) + adaptation + payload


def _table(table: int, body: bytes) -> bytes:
    length = 5 + len(body) + 4
    return (
        b"\0"
        + bytes([table, 0xB0 | length >> 8, length & 0xFF, 0, 1, 0xC1, 0, 0])
        + body
        + bytes(4)
    )


def _tables(recipe: Recipe) -> list[bytes]:
    counter = recipe.msn % 16 if recipe.psi_counter is None else recipe.psi_counter
    pat = _table(0x00, bytes([0, 1, 0xE0 | PMT >> 8, PMT & 0xFF]))
    audio = recipe.audio_pid
    streams = bytes([0x1B, 0xE0 | VIDEO >> 8, VIDEO & 0xFF, 0xF0, 0])
    streams += bytes([0x0F, 0xE0 | audio >> 8, audio & 0xFF, 0xF0, 0])
    pmt = _table(0x02, bytes([0xE0 | VIDEO >> 8, VIDEO & 0xFF, 0xF0, 0]) + streams)
    return [packet(PAT_PID, counter, pat), packet(PMT, counter, pmt)]


def _picture(recipe: Recipe, number: int, pts: int) -> bytes:
    units = []
    if number == 0 and recipe.parameter_sets:
        units += [sps(recipe.width, recipe.height, recipe.level), b"\x68\xce\x38\x80"]
    units.append(b"\x65\x88" if number == 0 and recipe.idr else b"\x41\x9a")
    stream = b"".join(b"\0\0\0\1" + unit for unit in units)
    return pes(0xE0, pts, stream, pts - FRAME_TICKS if recipe.reordered else None)


def _sound(recipe: Recipe) -> bytes:
    frame = bytes([0xFF, 0xF1, 0x4C, 0x80, 0x01, 0x1F, 0xFC, recipe.sound_byte])
    return frame * ADTS_PER_PACKET


def segment(recipe: Recipe | None = None, **changes: object) -> bytes:
    """The bytes of a segment."""
    recipe = recipe or Recipe(**changes)  # type: ignore[arg-type]
    start = recipe.start_pts
    if start is None:
        start = 126_000 + recipe.msn * FRAMES * FRAME_TICKS
    tables = _tables(recipe)
    parts = []
    for number in range(recipe.frames):
        raw = _picture(recipe, number, (start + number * FRAME_TICKS) % (1 << 33))
        late = recipe.skipped_counter and number >= 10
        counter = (recipe.first_counter + number + late) % 16
        parts.append(packet(VIDEO, counter, raw, number == 0 and recipe.random_access))
    for number in range(SOUND_PACKETS):
        pts = start + number * ADTS_PER_PACKET * ADTS_TICKS
        raw = pes(0xC0, pts % (1 << 33), _sound(recipe))
        parts.append(packet(recipe.audio_pid, number, raw))
    if recipe.sdt:
        parts.append(packet(SDT_PID, 0, _table(0x42, b"\0")))
    early = [] if recipe.psi_first else [packet(0x1FF0, 0, bytes(10))]
    return b"".join([*early, *tables, *parts])
