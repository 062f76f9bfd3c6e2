"""A small reader of fragmented MP4 (CMAF), for checking it. It decodes nothing, repairs nothing.

`read_init` turns an initialization section into its tracks, `read` the bytes of a part or of a
whole segment into facts: per track its decode times, samples, and the NAL units that open it.
ISO/IEC 14496-12 for the boxes, 14496-15 for H.264 in them.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from surgecast.errors import RemoteError
from surgecast.hls.mp4 import Box, boxes, child, needed, number
from surgecast.hls.sps import Sps, parse_sps

VIDEO, AUDIO = "vide", "soun"

_NOT_SYNC = 0x10000
"""sample_is_non_sync_sample of the sample flags (ISO/IEC 14496-12 section 8.8.3.1)."""
_SAMPLE_ENTRY_BYTES = {VIDEO: 78, AUDIO: 28}
"""Fixed fields of a sample entry before its boxes."""
_AVC_ENTRIES = ("avc1", "avc3")
_SAMPLES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class InitTrack:
    """One track as the initialization section declares it."""

    track_id: int
    handler: str
    """`vide` or `soun`."""
    timescale: int
    """Ticks per second."""
    entry: str
    """Sample entry, for example `avc1` or `mp4a`."""
    sps: Sps | None
    nal_length_bytes: int
    sample_duration: int
    """Defaults of `trex`, used where a fragment says nothing."""
    sample_size: int
    sample_flags: int


@dataclass(frozen=True, slots=True)
class Init:
    """An initialization section."""

    tracks: Mapping[int, InitTrack]
    digest: str

    @property
    def video(self) -> InitTrack | None:
        return next((track for track in self.tracks.values() if track.handler == VIDEO), None)


@dataclass(frozen=True, slots=True)
class Track:
    """One track within one part or segment. Times are ticks of its timescale."""

    declared: InitTrack
    start: int
    """Decode time of the first sample."""
    durations: tuple[int, ...]
    breaks: tuple[int, ...]
    """Ticks from where a fragment ends to where the next begins, if these differ."""
    first_is_sync: bool
    reordered: int
    """Samples shown at another time than they are decoded."""
    nal_types: frozenset[int]
    """Of the first sample; empty for sound."""
    digest: str

    @property
    def is_video(self) -> bool:
        return self.declared.handler == VIDEO

    @property
    def end(self) -> int:
        return self.start + sum(self.durations) + sum(self.breaks)

    @property
    def start_s(self) -> float:
        return self.start / self.declared.timescale

    @property
    def end_s(self) -> float:
        return self.end / self.declared.timescale

    @property
    def frame_s(self) -> float:
        """How long its first sample lasts."""
        return self.durations[0] / self.declared.timescale


@dataclass(frozen=True, slots=True)
class Media:
    """The facts of one part or segment."""

    size_bytes: int
    init: Init
    tracks: tuple[Track, ...]
    fragments: int

    @property
    def video(self) -> Track | None:
        return next((track for track in self.tracks if track.is_video), None)


def read_init(data: bytes) -> Init:
    """The tracks of an initialization section. Raises RemoteError where it cannot be read."""
    moov = needed(data, "moov")
    if child(data, "ftyp") is None:
        raise RemoteError("not usable MP4: no box ftyp")
    defaults = {}
    for box in boxes(needed(moov.payload, "mvex").payload):
        if box.kind == "trex":
            defaults[number(box.fields, 0, 4, "trex")] = box
    found = (_init_track(box, defaults) for box in boxes(moov.payload) if box.kind == "trak")
    tracks = {track.track_id: track for track in found}
    if not tracks:
        raise RemoteError("not usable MP4: no track")
    return Init(tracks, hashlib.sha256(data).hexdigest())


def _init_track(trak: Box, defaults: Mapping[int, Box]) -> InitTrack:
    header = needed(trak.payload, "tkhd")
    track_id = number(header.fields, 16 if header.version else 8, 4, "tkhd")
    clock = needed(trak.payload, "mdia", "mdhd")
    timescale = number(clock.fields, 16 if clock.version else 8, 4, "mdhd")
    handler = bytes(needed(trak.payload, "mdia", "hdlr").fields[4:8]).decode("ascii", "replace")
    description = needed(trak.payload, "mdia", "minf", "stbl", "stsd")
    entry = next(boxes(description.fields[4:]), None)
    if entry is None or timescale == 0 or track_id not in defaults:
        raise RemoteError(f"not usable MP4: track {track_id} lacks stsd, timescale or trex")
    sps, nal_length_bytes = _avc(entry) if entry.kind in _AVC_ENTRIES else (None, 0)
    trex = defaults[track_id].fields
    duration, size, flags = (number(trex, place, 4, "trex") for place in (8, 12, 16))
    return InitTrack(
        track_id, handler, timescale, entry.kind, sps, nal_length_bytes, duration, size, flags
    )


def _avc(entry: Box) -> tuple[Sps | None, int]:
    """The first parameter set of an `avcC` and how long its NAL lengths are."""
    config = needed(entry.payload[_SAMPLE_ENTRY_BYTES[VIDEO] :], "avcC")
    nal_length_bytes = (config.number(4, 1) & 3) + 1
    if not config.number(5, 1) & 0x1F:
        return None, nal_length_bytes
    length = config.number(6, 2)
    return parse_sps(bytes(config.payload[8 : 8 + length])), nal_length_bytes


@dataclass(slots=True)
class _Collector:
    """One track while its fragments are read."""

    declared: InitTrack
    start: int
    ends: int
    durations: list[int] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    first_is_sync: bool = False
    reordered: int = 0
    nal_types: frozenset[int] = frozenset()
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def finished(self) -> Track:
        return Track(
            self.declared,
            self.start,
            tuple(self.durations),
            tuple(self.breaks),
            self.first_is_sync,
            self.reordered,
            self.nal_types,
            self.digest.hexdigest(),
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    duration: int
    size: int
    flags: int
    offset: int
    """Composition time offset."""


def read(data: bytes, init: Init) -> Media:
    """The facts of whole `moof` and `mdat` pairs. Raises RemoteError where they cannot be read."""
    tracks: dict[int, _Collector] = {}
    view, moof, fragments = memoryview(data), None, 0
    for box in boxes(data):
        if box.kind == "moof":
            moof = box
        elif box.kind == "mdat":
            if moof is None:
                raise RemoteError("not usable MP4: mdat without moof")
            for traf in boxes(moof.payload):
                if traf.kind == "traf":
                    _read_traf(view, moof, box, traf, init, tracks)
            moof, fragments = None, fragments + 1
    if moof is not None or not fragments:
        raise RemoteError("not usable MP4: no whole fragment (moof and mdat)")
    found = tuple(tracks[track].finished() for track in sorted(tracks) if tracks[track].durations)
    return Media(len(data), init, found, fragments)


def _read_traf(
    view: memoryview,
    moof: Box,
    mdat: Box,
    traf: Box,
    init: Init,
    tracks: dict[int, _Collector],
) -> None:
    header = needed(traf.payload, "tfhd")
    declared = init.tracks.get(number(header.fields, 0, 4, "tfhd"))
    if declared is None:
        raise RemoteError("not usable MP4: a fragment of a track that was not declared")
    clock = needed(traf.payload, "tfdt")
    start = number(clock.fields, 0, 8 if clock.version else 4, "tfdt")
    found = tracks.get(declared.track_id)
    if found is None:
        found = tracks[declared.track_id] = _Collector(declared, start, start)
    elif found.ends != start:
        found.breaks.append(start - found.ends)
    found.ends = start
    for box in boxes(traf.payload):
        if box.kind == "trun":
            _read_run(view, moof, mdat, box, _defaults(header, declared), found)


def _defaults(header: Box, declared: InitTrack) -> _Sample:
    """What `tfhd` says of all samples, else `trex`."""
    place = 4 + 8 * bool(header.flags & 1) + 4 * bool(header.flags & 2)
    values = [declared.sample_duration, declared.sample_size, declared.sample_flags]
    for slot, flag in enumerate((8, 0x10, 0x20)):
        if header.flags & flag:
            values[slot] = number(header.fields, place, 4, "tfhd")
            place += 4
    duration, size, flags = values
    return _Sample(duration, size, flags, 0)


def _read_run(
    view: memoryview, moof: Box, mdat: Box, trun: Box, defaults: _Sample, found: _Collector
) -> None:
    if not trun.flags & 1:
        raise RemoteError("not usable MP4: trun has no data offset")
    offset = int.from_bytes(trun.fields[4:8], "big", signed=True)
    place = moof.offset + offset
    for sample in _samples(trun, defaults):
        if place < mdat.offset or place + sample.size > mdat.end:
            raise RemoteError("not usable MP4: a sample lies outside of its mdat")
        payload = view[place : place + sample.size]
        if not found.durations:
            found.first_is_sync = not sample.flags & _NOT_SYNC
            found.nal_types = _nal_types(payload, found.declared.nal_length_bytes)
        found.durations.append(sample.duration)
        found.ends += sample.duration
        found.reordered += sample.offset != 0
        found.digest.update(payload)
        place += sample.size


def _samples(trun: Box, defaults: _Sample) -> Iterator[_Sample]:
    count = number(trun.fields, 0, 4, "trun")
    if count > _SAMPLES_MAX:
        raise RemoteError(f"not usable MP4: trun says {count} samples")
    place, first_flags = 8, None
    if trun.flags & 4:
        first_flags = number(trun.fields, place, 4, "trun")
        place += 4
    for index in range(count):
        values = [defaults.duration, defaults.size, defaults.flags, 0]
        if index == 0 and first_flags is not None:
            values[2] = first_flags
        for slot, flag in enumerate((0x100, 0x200, 0x400, 0x800)):
            if trun.flags & flag:
                values[slot] = number(trun.fields, place, 4, "trun")
                place += 4
        yield _Sample(*values)


def _nal_types(payload: memoryview, length_bytes: int) -> frozenset[int]:
    types, place = set(), 0
    while length_bytes and place + length_bytes < len(payload):
        length = int.from_bytes(payload[place : place + length_bytes], "big")
        types.add(payload[place + length_bytes] & 0x1F)
        place += length_bytes + length
    return frozenset(types)
