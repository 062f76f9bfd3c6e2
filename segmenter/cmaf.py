"""Reads the fragmented MP4 that FFmpeg writes for one rung: boxes in, runs of samples out.

Fed with bytes in any pieces. Nothing is believed: sizes that lie, boxes beyond a bound, versions
nobody knows and fragments that point outside their own data are refused, and a fragment that is
not whole is never given out (ISO/IEC 14496-12, sections 8.8 and 4.2).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from surgecast.errors import LocalError

_HEADER_BYTES_MAX = 1 << 20
"""Of `moov` and `moof`; those of FFmpeg have a few hundred bytes."""
_SAMPLES_MAX = 4096

_U32 = struct.Struct(">I")
_BOX = struct.Struct(">I4s")

_TFHD_BASE_OFFSET, _TFHD_DESCRIPTION = 0x01, 0x02
_TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS = 0x08, 0x10, 0x20
_TRUN_OFFSET, _TRUN_FIRST_FLAGS = 0x001, 0x004
_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_COMPOSITION = 0x100, 0x200, 0x400, 0x800

_NOT_SYNC = 0x0001_0000


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of one track, one after another, with their bytes."""

    start: int
    """Ticks of the track's clock."""
    durations: tuple[int, ...]
    sizes: tuple[int, ...]
    flags: tuple[int, ...]
    data: bytes

    @property
    def end(self) -> int:
        return self.start + sum(self.durations)

    @property
    def starts_with_key(self) -> bool:
        return self.is_key(0)

    def is_key(self, number: int) -> bool:
        return not self.flags[number] & _NOT_SYNC

    def split(self, count: int) -> tuple["Run", "Run"]:
        """The first `count` samples, and the others."""
        if count >= len(self.sizes):
            return self, Run(self.end, (), (), (), b"")
        if not count:
            return Run(self.start, (), (), (), b""), self
        size, ticks = sum(self.sizes[:count]), sum(self.durations[:count])
        return (
            Run(
                self.start,
                self.durations[:count],
                self.sizes[:count],
                self.flags[:count],
                self.data[:size],
            ),
            Run(
                self.start + ticks,
                self.durations[count:],
                self.sizes[count:],
                self.flags[count:],
                self.data[size:],
            ),
        )


@dataclass(frozen=True, slots=True)
class Track:
    """One track as `moov` describes it."""

    track_id: int
    kind: str
    """`vide` or `soun`."""
    ticks_per_s: int
    duration: int = 0
    """The next three: of a sample, where its fragment does not say."""
    size: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Fragment:
    """One `moof` and its `mdat`: a run of each track that is in it."""

    video: Run | None
    sound: Run | None


class FragmentReader:
    """One rung's stream in, fragments out; `mdat_bytes_max` bounds what it holds."""

    def __init__(self, mdat_bytes_max: int = 32 << 20) -> None:
        self._mdat_bytes_max = mdat_bytes_max
        self._pending = bytearray()
        self._needed = 8
        self._kind = b""
        self._ftyp = b""
        self._moof = b""
        self._tracks: dict[int, Track] = {}
        self.init: bytes | None = None
        """`ftyp` and `moov`, once they were read."""

    def track(self, kind: str) -> Track | None:
        """The track of that kind, once `moov` was read."""
        return next((track for track in self._tracks.values() if track.kind == kind), None)

    def feed(self, data: bytes) -> list[Fragment]:
        """Take more bytes; the fragments they completed. Raises LocalError for what is no MP4."""
        self._pending += data
        fragments: list[Fragment] = []
        while len(self._pending) >= self._needed:
            if not self._kind:
                self._begin_box()
                continue
            with memoryview(self._pending) as view:
                box = bytes(view[: self._needed])
            del self._pending[: self._needed]
            kind, self._kind, self._needed = self._kind, b"", 8
            self._take(kind, box, fragments)
        return fragments

    def _begin_box(self) -> None:
        size, kind = _BOX.unpack_from(self._pending)
        bound = self._mdat_bytes_max if kind == b"mdat" else _HEADER_BYTES_MAX
        if not 8 <= size <= bound:
            raise LocalError(f"{_name(kind)} box of {size} bytes from FFmpeg: allowed 8 to {bound}")
        self._kind, self._needed = kind, size

    def _take(self, kind: bytes, box: bytes, fragments: list[Fragment]) -> None:
        if self._moof and kind != b"mdat":
            raise LocalError(f"fragment from FFmpeg is not whole: moof before {_name(kind)}")
        if kind == b"ftyp":
            self._ftyp = box
        elif kind == b"moov":
            if self.init is not None:
                raise LocalError("second moov box from FFmpeg in one stream")
            self._tracks = _tracks(box)
            self.init = self._ftyp + box
        elif kind == b"moof":
            if self.init is None:
                raise LocalError("moof box from FFmpeg before its moov")
            self._moof = box
        elif kind == b"mdat":
            if not self._moof:
                raise LocalError("mdat box from FFmpeg without its moof")
            moof, self._moof = self._moof, b""
            fragments.append(_fragment(moof, box, self._tracks))


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box from `at` to `end`."""
    while at < end:
        if end - at < 8:
            raise LocalError(f"{end - at} bytes too few for a box header from FFmpeg")
        size, kind = _BOX.unpack_from(data, at)
        if not 8 <= size <= end - at:
            raise LocalError(f"{_name(kind)} box says {size} bytes, {end - at} are there")
        yield kind, at + 8, at + size
        at += size


def _word(data: bytes, at: int, end: int) -> int:
    """The 32 bits at `at`, inside a box that goes to `end`."""
    if at + 4 > end:
        raise LocalError(f"box from FFmpeg ends at byte {end}, a field of it at {at + 4}")
    value: int = _U32.unpack_from(data, at)[0]
    return value


def _version(data: bytes, at: int, end: int, kind: str, allowed: int) -> tuple[int, int]:
    """Version and flags of a full box."""
    word = _word(data, at, end)
    version, flags = word >> 24, word & 0xFF_FFFF
    if version > allowed:
        raise LocalError(f"{kind} box of version {version} from FFmpeg: allowed 0 to {allowed}")
    return version, flags


def _tracks(moov: bytes) -> dict[int, Track]:
    tracks: dict[int, Track] = {}
    defaults: dict[int, tuple[int, int, int]] = {}
    for kind, at, end in _boxes(moov, 8, len(moov)):
        if kind == b"trak":
            track = _trak(moov, at, end)
            tracks[track.track_id] = track
        elif kind == b"mvex":
            for inner, begin, stop in _boxes(moov, at, end):
                if inner == b"trex":
                    _version(moov, begin, stop, "trex", 0)
                    words = [_word(moov, begin + offset, stop) for offset in (4, 12, 16, 20)]
                    defaults[words[0]] = words[1], words[2], words[3]
    kinds = sorted(track.kind for track in tracks.values())
    if kinds != ["soun", "vide"]:
        raise LocalError(f"tracks from FFmpeg are {kinds}: one of video, one of sound expected")
    return {
        number: Track(number, track.kind, track.ticks_per_s, *defaults.get(number, (0, 0, 0)))
        for number, track in tracks.items()
    }


def _trak(moov: bytes, at: int, end: int) -> Track:
    track_id = ticks_per_s = 0
    handler = b""
    for kind, begin, stop in _boxes(moov, at, end):
        if kind == b"tkhd":
            version, _ = _version(moov, begin, stop, "tkhd", 1)
            track_id = _word(moov, begin + (20 if version else 12), stop)
        elif kind == b"mdia":
            for inner, first, last in _boxes(moov, begin, stop):
                if inner == b"mdhd":
                    version, _ = _version(moov, first, last, "mdhd", 1)
                    ticks_per_s = _word(moov, first + (20 if version else 12), last)
                elif inner == b"hdlr":
                    _word(moov, first + 8, last)
                    handler = moov[first + 8 : first + 12]
    if not track_id or not ticks_per_s or not handler:
        raise LocalError("track from FFmpeg lacks its number, its clock or its kind")
    return Track(track_id, _name(handler), ticks_per_s)


def _fragment(moof: bytes, mdat: bytes, tracks: dict[int, Track]) -> Fragment:
    runs: dict[str, Run] = {}
    for kind, at, end in _boxes(moof, 8, len(moof)):
        if kind != b"traf":
            continue
        track, run = _traf(moof, at, end, mdat, tracks)
        if track.kind in runs:
            raise LocalError(f"track {track.track_id} is twice in one fragment from FFmpeg")
        if run.sizes:
            runs[track.kind] = run
    return Fragment(runs.get("vide"), runs.get("soun"))


def _traf(
    moof: bytes, at: int, end: int, mdat: bytes, tracks: dict[int, Track]
) -> tuple[Track, Run]:
    track: Track | None = None
    start: int | None = None
    run: Run | None = None
    for kind, begin, stop in _boxes(moof, at, end):
        if kind == b"tfhd":
            track = _tfhd(moof, begin, stop, tracks)
        elif kind == b"tfdt":
            version, _ = _version(moof, begin, stop, "tfdt", 1)
            start = _word(moof, begin + 4, stop)
            if version:
                start = start << 32 | _word(moof, begin + 8, stop)
        elif kind == b"trun":
            if track is None or start is None or run is not None:
                raise LocalError("trun box from FFmpeg has no tfhd or tfdt before it, or is second")
            run = _trun(moof, begin, stop, mdat, track, start)
    if track is None or run is None:
        raise LocalError("traf box from FFmpeg lacks its tfhd or its trun")
    return track, run


def _tfhd(moof: bytes, at: int, end: int, tracks: dict[int, Track]) -> Track:
    _, flags = _version(moof, at, end, "tfhd", 0)
    number = _word(moof, at + 4, end)
    track = tracks.get(number)
    if track is None:
        raise LocalError(f"fragment from FFmpeg names track {number}, which moov does not")
    if flags & _TFHD_BASE_OFFSET:
        raise LocalError("fragment from FFmpeg counts from the start of the stream, not its moof")
    at += 8 + (4 if flags & _TFHD_DESCRIPTION else 0)
    values = [track.duration, track.size, track.flags]
    for place, bit in enumerate((_TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS)):
        if flags & bit:
            values[place] = _word(moof, at, end)
            at += 4
    return Track(number, track.kind, track.ticks_per_s, *values)


def _trun(moof: bytes, at: int, end: int, mdat: bytes, track: Track, start: int) -> Run:
    _, flags = _version(moof, at, end, "trun", 1)
    count = _word(moof, at + 4, end)
    if count > _SAMPLES_MAX:
        raise LocalError(f"trun box from FFmpeg has {count} samples: allowed {_SAMPLES_MAX}")
    if not flags & _TRUN_OFFSET:
        raise LocalError("trun box from FFmpeg does not say where its data begins")
    offset = _word(moof, at + 8, end)
    at += 12
    first_flags: int | None = None
    if flags & _TRUN_FIRST_FLAGS:
        first_flags = _word(moof, at, end)
        at += 4
    columns = [
        bit for bit in (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_COMPOSITION) if flags & bit
    ]
    if end - at != 4 * count * len(columns):
        raise LocalError(f"trun box from FFmpeg: {end - at} bytes are not {count} samples")
    words = struct.unpack_from(f">{count * len(columns)}I", moof, at)
    table = {bit: words[place :: len(columns)] for place, bit in enumerate(columns)}
    if any(table.get(_TRUN_COMPOSITION, ())):
        raise LocalError("sample from FFmpeg is shown out of order: there must be no B-frames")
    sizes = table.get(_TRUN_SIZE, (track.size,) * count)
    begin = offset - len(moof)
    stop = begin + sum(sizes)
    if begin < 8 or stop > len(mdat):
        raise LocalError(
            f"trun box from FFmpeg points at bytes {begin} to {stop} of {len(mdat)} in mdat"
        )
    each = table.get(_TRUN_FLAGS, (track.flags,) * count)
    if first_flags is not None and count:
        each = (first_flags, *each[1:])
    durations = table.get(_TRUN_DURATION, (track.duration,) * count)
    return Run(start, durations, sizes, each, mdat[begin:stop])
