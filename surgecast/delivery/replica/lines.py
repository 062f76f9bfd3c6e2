"""What one server tells another of a channel, line by line, so that both write the same playlists.

Pure: values to lines of JSON and back. The lines of one channel are a *snapshot*, then whatever is
published, and a heartbeat in between:

    snapshot        ladder, durations, and for each window: what is listed, numbers, measured rates
    init set part   everything that can be downloaded, oldest first
    live            the snapshot is complete
    init set part   as they are published
    heartbeat       nothing new
    end             the show is over

No media is in them: of each payload its size and digest (`surgecast.media.remote`). What is read is
believed only as far as it is whole, in order and of this version; all else is a RemoteError.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from surgecast.errors import RemoteError
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.remote import DIGEST_BYTES, Payload, Remote, remote_of
from surgecast.media.segment import Rendition, SegmentSet
from surgecast.media.window import Measured, Window

VERSION = 1
LINE_BYTES_MAX = 64 * 1024
SNAPSHOT_BYTES_MAX = 128 * 1024 * 1024

_Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Moment = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
_Span = Annotated[float, Field(allow_inf_nan=False, gt=0, le=1e6)]
_Ratio = Annotated[str, Field(pattern=r"^[0-9]{1,9}/[1-9][0-9]{0,8}$")]
_Digest = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")]
_Size = Annotated[int, Field(gt=0, le=2**32)]
_Payloads = Annotated[dict[_Name, tuple[_Size, _Digest]], Field(min_length=1, max_length=32)]
_Measured = Annotated[
    dict[_Name, tuple[_Count, _Count, Annotated[float, Field(ge=0, allow_inf_nan=False)], _Count]],
    Field(max_length=32),
]


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _RenditionLine(_Line):
    name: _Name
    width: _Size
    height: _Size
    frame_rate: _Ratio
    declared_peak_bps: _Size
    declared_average_bps: _Size
    codecs: Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9.,]*$")]


class _WindowLine(_Line):
    listed_max: Annotated[int, Field(ge=6, le=1000)]
    first_msn: _Count
    next_msn: _Count
    discontinuity_sequence: _Count
    measured: _Measured


class _PartsLine(_WindowLine):
    part_target_s: _Span


class _SnapshotLine(_Line):
    type: Literal["snapshot"] = "snapshot"
    version: int = VERSION
    channel: _Name
    renditions: Annotated[list[_RenditionLine], Field(min_length=1, max_length=32)]
    segment_duration_s: _Ratio
    window: _WindowLine
    low_latency: _PartsLine | None


class _InitLine(_Line):
    type: Literal["init"] = "init"
    epoch: _Name
    payloads: _Payloads


class _SetLine(_Line):
    type: Literal["set"] = "set"
    msn: _Count
    epoch: _Name
    start_utc: _Moment
    duration_s: _Span
    discontinuity: bool
    slate: bool
    payloads: _Payloads


class _PartLine(_Line):
    type: Literal["part"] = "part"
    msn: _Count
    index: _Count
    epoch: _Name
    start_utc: _Moment
    duration_s: _Span
    independent: bool
    discontinuity: bool
    last: bool
    slate: bool
    init: _Name
    payloads: _Payloads


class _MarkLine(_Line):
    type: Literal["live", "heartbeat", "end"]


_LINES: TypeAdapter[_SnapshotLine | _InitLine | _SetLine | _PartLine | _MarkLine] = TypeAdapter(
    Annotated[
        _SnapshotLine | _InitLine | _SetLine | _PartLine | _MarkLine,
        Field(discriminator="type"),
    ]
)
_VERSION_OF = re.compile(rb'"version"\s*:\s*([0-9]{1,9})')


# Values.


@dataclass(frozen=True, slots=True)
class WindowState:
    """Of a window: what is listed of it, and what it counts."""

    listed_max: int
    first_msn: int
    next_msn: int
    discontinuity_sequence: int
    measured: Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class Shape:
    """What is fixed for the life of a channel."""

    renditions: tuple[Rendition, ...]
    segment_duration_s: Fraction
    listed_max: int
    part_target_s: float | None
    """None where it has no low latency."""


@dataclass(slots=True)
class Snapshot:
    """A channel at one moment. `sets` and `parts` are everything that can be downloaded."""

    channel: str
    shape: Shape
    window: WindowState
    low_latency: WindowState | None
    sets: list[SegmentSet] = field(default_factory=list)
    parts: list[PartSet] = field(default_factory=list)


class Heartbeat:
    """The upstream lives."""


class Ended:
    """The show is over."""


Event = Snapshot | SegmentSet | PartSet | Heartbeat | Ended


# Writing.


def heartbeat_line() -> bytes:
    return _encode(_MarkLine(type="heartbeat"))


def live_line() -> bytes:
    return _encode(_MarkLine(type="live"))


def end_line() -> bytes:
    return _encode(_MarkLine(type="end"))


def snapshot_line(channel: str, window: Window, low_latency: LowLatencyWindow | None) -> bytes:
    """The first line; what can be downloaded follows in lines of its own."""
    return _encode(
        _SnapshotLine(
            channel=channel,
            renditions=[_rendition_line(rendition) for rendition in window.renditions],
            segment_duration_s=_ratio(window.segment_duration_s),
            window=_WindowLine(
                listed_max=window.listed_max,
                first_msn=window.first_msn,
                next_msn=window.next_msn,
                discontinuity_sequence=window.discontinuity_sequence,
                measured=dict(window.measured),
            ),
            low_latency=None if low_latency is None else _parts_line(window, low_latency),
        )
    )


def _parts_line(window: Window, parts: LowLatencyWindow) -> _PartsLine:
    return _PartsLine(
        listed_max=window.listed_max,
        first_msn=parts.first_msn,
        next_msn=parts.next_msn,
        discontinuity_sequence=parts.discontinuity_sequence,
        measured=dict(parts.measured),
        part_target_s=parts.part_target_s,
    )


def init_line(init: InitSet) -> bytes:
    return _encode(_InitLine(epoch=init.epoch, payloads=_payloads(init.payloads)))


def set_line(segments: SegmentSet) -> bytes:
    return _encode(
        _SetLine(
            msn=segments.msn,
            epoch=segments.epoch,
            start_utc=segments.start_utc,
            duration_s=segments.duration_s,
            discontinuity=segments.discontinuity,
            slate=segments.slate,
            payloads=_payloads(segments.payloads),
        )
    )


def part_line(parts: PartSet) -> bytes:
    """`init_line` of its initialization sections must have come before."""
    return _encode(
        _PartLine(
            msn=parts.msn,
            index=parts.index,
            epoch=parts.epoch,
            start_utc=parts.start_utc,
            duration_s=parts.duration_s,
            independent=parts.independent,
            discontinuity=parts.discontinuity,
            last=parts.last,
            slate=parts.slate,
            init=parts.init.epoch,
            payloads=_payloads(parts.payloads),
        )
    )


def _encode(line: _Line) -> bytes:
    return line.model_dump_json().encode() + b"\n"


def _payloads(payloads: Mapping[str, Payload]) -> dict[str, tuple[int, str]]:
    remotes = {rung: remote_of(payload) for rung, payload in payloads.items()}
    return {rung: (remote.size_bytes, remote.digest.hex()) for rung, remote in remotes.items()}


def _rendition_line(rendition: Rendition) -> _RenditionLine:
    return _RenditionLine(
        name=rendition.name,
        width=rendition.width,
        height=rendition.height,
        frame_rate=_ratio(rendition.frame_rate),
        declared_peak_bps=rendition.declared_peak_bps,
        declared_average_bps=rendition.declared_average_bps,
        codecs=rendition.codecs,
    )


def _ratio(fraction: Fraction) -> str:
    return f"{fraction.numerator}/{fraction.denominator}"


# Reading.


class FeedReader:
    """Lines of one feed to what they say. Raises RemoteError for the first that is not right."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._snapshot: Snapshot | None = None
        self._live = False
        self._snapshot_bytes = 0
        self._inits: dict[str, InitSet] = {}

    def take(self, raw: bytes) -> Event | None:
        """What the next line says; None for one that only belongs to a later one."""
        if not raw.endswith(b"\n"):
            raise RemoteError("the feed ends inside a line")
        if len(raw) > LINE_BYTES_MAX:
            raise RemoteError(f"a line of {len(raw)} bytes, more than {LINE_BYTES_MAX}")
        self._snapshot_bytes += 0 if self._live else len(raw)
        if self._snapshot_bytes > SNAPSHOT_BYTES_MAX:
            raise RemoteError(f"a snapshot of more than {SNAPSHOT_BYTES_MAX} bytes")
        line = _decode(raw)
        if isinstance(line, _SnapshotLine):
            self._begin(line)
            return None
        if self._snapshot is None:
            raise RemoteError(f"the feed begins with {line.type!r} where a snapshot is expected")
        if isinstance(line, _InitLine):
            self._take_init(line)
            return None
        if isinstance(line, _MarkLine):
            return self._take_mark(line)
        published = self._set(line) if isinstance(line, _SetLine) else self._part(line)
        if self._live:
            return published
        self._collect(self._snapshot, published)
        return None

    def _begin(self, line: _SnapshotLine) -> None:
        if self._snapshot is not None:
            raise RemoteError("a second snapshot in one feed")
        if line.channel != self._channel:
            raise RemoteError(f"the feed is of channel {line.channel!r}")
        renditions = tuple(map(_rendition, line.renditions))
        names = [rendition.name for rendition in renditions]
        parts = line.low_latency
        for window in (line.window, parts):
            if window is not None and sorted(window.measured) != sorted(names):
                raise RemoteError("the feed measures other rungs than it has")
        if len(set(names)) != len(names):
            raise RemoteError("the feed has a rung twice")
        shape = Shape(
            renditions,
            Fraction(line.segment_duration_s),
            line.window.listed_max,
            None if parts is None else parts.part_target_s,
        )
        self._snapshot = Snapshot(
            line.channel, shape, _state(line.window), None if parts is None else _state(parts)
        )

    def _take_init(self, line: _InitLine) -> None:
        found = InitSet(line.epoch, _remotes(line.payloads))
        if self._inits.setdefault(line.epoch, found) != found:
            raise RemoteError(f"the feed has two initialization sections {line.epoch!r}")
        while len(self._inits) > _INITS_MAX:
            self._inits.pop(next(iter(self._inits)))

    def _take_mark(self, line: _MarkLine) -> Event | None:
        if line.type == "live":
            if self._live:
                raise RemoteError("the feed says twice that its snapshot is complete")
            self._live = True
            return self._snapshot
        if not self._live:
            raise RemoteError(f"{line.type!r} inside a snapshot")
        return Ended() if line.type == "end" else Heartbeat()

    def _collect(self, snapshot: Snapshot, published: SegmentSet | PartSet) -> None:
        if isinstance(published, SegmentSet):
            if snapshot.sets and published.msn <= snapshot.sets[-1].msn:
                raise RemoteError(f"the feed goes back to segment {published.msn}")
            snapshot.sets.append(published)
            return
        place = (published.msn, published.index)
        if snapshot.parts and place <= (snapshot.parts[-1].msn, snapshot.parts[-1].index):
            raise RemoteError(f"the feed goes back to part {place[0]}.{place[1]}")
        snapshot.parts.append(published)

    def _set(self, line: _SetLine) -> SegmentSet:
        return SegmentSet(
            msn=line.msn,
            epoch=line.epoch,
            start_utc=line.start_utc,
            duration_s=line.duration_s,
            discontinuity=line.discontinuity,
            slate=line.slate,
            payloads=_remotes(line.payloads),
        )

    def _part(self, line: _PartLine) -> PartSet:
        init = self._inits.get(line.init)
        if init is None:
            raise RemoteError(f"part {line.msn}.{line.index} needs an unknown init {line.init!r}")
        return PartSet(
            msn=line.msn,
            index=line.index,
            epoch=line.epoch,
            start_utc=line.start_utc,
            duration_s=line.duration_s,
            independent=line.independent,
            discontinuity=line.discontinuity,
            last=line.last,
            slate=line.slate,
            init=init,
            payloads=_remotes(line.payloads),
        )


_INITS_MAX = 4096
"""Initialization sections remembered of one feed; each encoder run may have its own."""


def _decode(raw: bytes) -> _SnapshotLine | _InitLine | _SetLine | _PartLine | _MarkLine:
    try:
        line = _LINES.validate_json(raw)
    except ValidationError as error:
        version = _VERSION_OF.search(raw)
        if version is not None and int(version[1]) != VERSION:
            raise RemoteError(_other_version(int(version[1]))) from error
        shown = raw[:60].decode("utf-8", "replace")
        raise RemoteError(f"not a line of a feed: {shown!r}") from error
    if isinstance(line, _SnapshotLine) and line.version != VERSION:
        raise RemoteError(_other_version(line.version))
    return line


def _other_version(version: int) -> str:
    return f"the feed is of version {version}; this server knows {VERSION}"


def _state(line: _WindowLine) -> WindowState:
    return WindowState(
        line.listed_max,
        line.first_msn,
        line.next_msn,
        line.discontinuity_sequence,
        {rung: Measured(*seen) for rung, seen in line.measured.items()},
    )


def _rendition(line: _RenditionLine) -> Rendition:
    return Rendition(
        name=line.name,
        width=line.width,
        height=line.height,
        frame_rate=Fraction(line.frame_rate),
        declared_peak_bps=line.declared_peak_bps,
        declared_average_bps=line.declared_average_bps,
        codecs=line.codecs,
    )


def _remotes(payloads: Mapping[str, tuple[int, str]]) -> dict[str, Remote]:
    return {rung: Remote(size, bytes.fromhex(digest)) for rung, (size, digest) in payloads.items()}
