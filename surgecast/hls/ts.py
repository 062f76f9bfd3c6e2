"""A small reader of MPEG-TS segments, for checking them. It decodes nothing and repairs nothing.

`read(data)` turns the bytes of one segment into facts: packets and counters per PID, PES time
stamps, the NAL units that open each picture, the sizes in the SPS. ISO/IEC 13818-1 for the
container, ITU-T H.264 section 7.3 for NAL units and SPS. Times are 90 kHz ticks.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from surgecast.errors import RemoteError
from surgecast.hls.sps import Sps, parse_sps

PACKET_BYTES = 188
TICKS_PER_S = 90_000
PAT_PID = 0x0000
SDT_PID = 0x0011
NULL_PID = 0x1FFF
H264 = 0x1B
AAC_ADTS = 0x0F
NAL_IDR, NAL_SPS, NAL_PPS = 5, 7, 8

_WRAP = 1 << 33
_SYNC = 0x47
_SAMPLE_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_SAMPLES_PER_AAC_FRAME = 1024


@dataclass(frozen=True, slots=True)
class Packet:
    """One 188-byte packet. `payload` is empty where there is only an adaptation field."""

    pid: int
    unit_start: bool
    counter: int
    random_access: bool
    has_payload: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pes:
    """What the header of one PES packet says, and what its payload begins with."""

    pts: int
    dts: int | None
    """None where the header has no DTS, which means DTS equals PTS."""
    random_access: bool
    nal_types: frozenset[int]
    """H.264 only; empty for sound."""
    duration: int
    """Ticks of sound, from its ADTS headers; 0 for video, where only the next PTS tells."""


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream within one segment."""

    pid: int
    stream_type: int
    first_counter: int
    last_counter: int
    payload_packets: int
    counter_breaks: int
    """Packets whose continuity counter does not follow, within this segment."""
    pes: tuple[Pes, ...]
    digest: str
    """SHA-256 of the elementary stream: equal digests are equal bits."""

    @property
    def is_video(self) -> bool:
        return self.stream_type == H264

    @property
    def frame_ticks(self) -> int:
        """Distance of the first two time stamps; 0 with fewer than two."""
        return elapsed(self.pes[0].pts, self.pes[1].pts) if len(self.pes) > 1 else 0


@dataclass(frozen=True, slots=True)
class Segment:
    """The facts of one segment. `head` is the PIDs of its first two packets."""

    size_bytes: int
    head: tuple[int, ...]
    pat_counter: int
    pmt_counter: int
    pmt_pid: int
    has_sdt: bool
    tracks: tuple[Track, ...]
    sps: tuple[Sps, ...]
    """Distinct parameter sets, in order of appearance."""

    @property
    def video(self) -> Track | None:
        return next((track for track in self.tracks if track.is_video), None)

    @property
    def audio(self) -> Track | None:
        return next((track for track in self.tracks if track.stream_type == AAC_ADTS), None)


def elapsed(earlier: int, later: int) -> int:
    """Ticks from one time stamp to another across the 33-bit wrap; negative if it went back."""
    difference = (later - earlier) % _WRAP
    return difference - _WRAP if difference >= _WRAP // 2 else difference


def packets(data: bytes) -> Iterator[Packet]:
    """The packets of `data`. Raises RemoteError where it is not whole, aligned packets."""
    if not data or len(data) % PACKET_BYTES:
        raise RemoteError(f"not whole MPEG-TS packets: {len(data)} bytes")
    for offset in range(0, len(data), PACKET_BYTES):
        if data[offset] != _SYNC:
            raise RemoteError(f"not MPEG-TS: no sync byte at offset {offset}")
        yield _packet(data[offset : offset + PACKET_BYTES])


def _packet(raw: bytes) -> Packet:
    control = raw[3] >> 4 & 3
    start = 4
    random_access = False
    if control & 2:
        start = 5 + raw[4]
        random_access = raw[4] > 0 and bool(raw[5] & 0x40)
    return Packet(
        pid=(raw[1] & 0x1F) << 8 | raw[2],
        unit_start=bool(raw[1] & 0x40),
        counter=raw[3] & 0x0F,
        random_access=random_access,
        has_payload=bool(control & 1),
        payload=raw[start:] if control & 1 else b"",
    )


def pmt_pid_of(payload: bytes) -> int:
    """The PMT PID of the first program in a PAT. Raises RemoteError when there is none."""
    section = _section(payload, table=0x00)
    for place in range(8, len(section) - 7, 4):
        if section[place : place + 2] != b"\0\0":
            return int.from_bytes(section[place + 2 : place + 4], "big") & 0x1FFF
    raise RemoteError("not usable MPEG-TS: the PAT names no program")


def streams_of(payload: bytes) -> dict[int, int]:
    """PID -> stream type from a PMT."""
    section = _section(payload, table=0x02)
    place = 12 + (int.from_bytes(section[10:12], "big") & 0x0FFF)
    streams = {}
    while place + 5 <= len(section) - 4:
        pid = int.from_bytes(section[place + 1 : place + 3], "big") & 0x1FFF
        streams[pid] = section[place]
        place += 5 + (int.from_bytes(section[place + 3 : place + 5], "big") & 0x0FFF)
    return streams


def _section(payload: bytes, table: int) -> bytes:
    start = 1 + payload[0] if payload else 0
    if len(payload) < start + 12 or payload[start] != table:
        raise RemoteError(f"not usable MPEG-TS: expected table {table}")
    length = int.from_bytes(payload[start + 1 : start + 3], "big") & 0x0FFF
    return payload[start : start + 3 + length]


def nal_units(stream: bytes) -> Iterator[bytes]:
    """The NAL units of an Annex B byte stream, each without its start code."""
    start = stream.find(b"\0\0\1")
    while start >= 0:
        end = stream.find(b"\0\0\1", start + 3)
        unit = stream[start + 3 : end if end >= 0 else len(stream)]
        if unit:
            yield unit
        start = end


@dataclass(slots=True)
class _Collector:
    """One elementary stream while its packets are being read."""

    stream_type: int
    first_counter: int = -1
    last_counter: int = -1
    payload_packets: int = 0
    breaks: int = 0
    pes: list[tuple[bytearray, bool]] = field(default_factory=list)

    def add(self, packet: Packet) -> None:
        if self.first_counter < 0:
            self.first_counter = packet.counter
        elif packet.counter != (self.last_counter + packet.has_payload) % 16:
            self.breaks += 1
        self.last_counter = packet.counter
        self.payload_packets += packet.has_payload
        if packet.unit_start:
            self.pes.append((bytearray(packet.payload), packet.random_access))
        elif self.pes:
            self.pes[-1][0].extend(packet.payload)


def read(data: bytes) -> Segment:
    """The facts of one segment. Raises RemoteError when it cannot be read as MPEG-TS."""
    head: list[int] = []
    tables: dict[int, Packet] = {}
    pmt_pid, has_sdt = -1, False
    collectors: dict[int, _Collector] = {}
    for packet in packets(data):
        if len(head) < 2:
            head.append(packet.pid)
        if packet.pid in collectors:
            collectors[packet.pid].add(packet)
        elif packet.pid in (PAT_PID, pmt_pid) and packet.pid not in tables and packet.unit_start:
            tables[packet.pid] = packet
            if packet.pid == PAT_PID:
                pmt_pid = pmt_pid_of(packet.payload)
            else:
                collectors |= {p: _Collector(t) for p, t in streams_of(packet.payload).items()}
        has_sdt = has_sdt or packet.pid == SDT_PID
    if not collectors:
        raise RemoteError("not usable MPEG-TS: no PAT and PMT")
    sets: dict[bytes, Sps] = {}
    tracks = tuple(_track(pid, found, sets) for pid, found in collectors.items() if found.pes)
    return Segment(
        size_bytes=len(data),
        head=tuple(head),
        pat_counter=tables[PAT_PID].counter,
        pmt_counter=tables[pmt_pid].counter,
        pmt_pid=pmt_pid,
        has_sdt=has_sdt,
        tracks=tracks,
        sps=tuple(sets.values()),
    )


def _track(pid: int, found: _Collector, sets: dict[bytes, Sps]) -> Track:
    digest = hashlib.sha256()
    pes = []
    for raw, random_access in found.pes:
        pts, dts, start = _pes_times(raw)
        stream = bytes(raw[start:])
        digest.update(stream)
        types = _note_nal_units(stream, sets) if found.stream_type == H264 else frozenset()
        sound = _adts_ticks(stream) if found.stream_type == AAC_ADTS else 0
        pes.append(Pes(pts, dts, random_access, types, sound))
    return Track(
        pid=pid,
        stream_type=found.stream_type,
        first_counter=found.first_counter,
        last_counter=found.last_counter,
        payload_packets=found.payload_packets,
        counter_breaks=found.breaks,
        pes=tuple(pes),
        digest=digest.hexdigest(),
    )


def _pes_times(raw: bytes | bytearray) -> tuple[int, int | None, int]:
    """PTS, DTS and where the payload starts. Raises RemoteError where there is no PTS."""
    if len(raw) < 14 or raw[:3] != b"\0\0\1" or not raw[7] & 0x80:
        raise RemoteError("not usable MPEG-TS: a PES packet has no time stamp")
    dts = _time_stamp(raw[14:19]) if raw[7] & 0x40 and len(raw) >= 19 else None
    return _time_stamp(raw[9:14]), dts, 9 + raw[8]


def _time_stamp(raw: bytes | bytearray) -> int:
    high, middle, low = raw[0] >> 1 & 7, raw[1] << 7 | raw[2] >> 1, raw[3] << 7 | raw[4] >> 1
    return high << 30 | middle << 15 | low


def _note_nal_units(stream: bytes, sets: dict[bytes, Sps]) -> frozenset[int]:
    types = set()
    for unit in nal_units(stream):
        kind = unit[0] & 0x1F
        types.add(kind)
        if kind == NAL_SPS and unit not in sets:
            sets[unit] = parse_sps(unit)
    return frozenset(types)


def _adts_ticks(stream: bytes) -> int:
    """How long the AAC frames of one PES packet sound; stops at what is not ADTS."""
    place, samples, rate = 0, 0, 0
    while place + 7 <= len(stream) and stream[place] == 0xFF and stream[place + 1] & 0xF0 == 0xF0:
        index = stream[place + 2] >> 2 & 0x0F
        length = int.from_bytes(stream[place + 3 : place + 6], "big") >> 5 & 0x1FFF
        if index >= len(_SAMPLE_RATES) or length < 7:
            break
        rate = _SAMPLE_RATES[index]
        samples += _SAMPLES_PER_AAC_FRAME
        place += length
    return samples * TICKS_PER_S // rate if rate else 0
