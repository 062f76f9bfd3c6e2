"""Cut sets as bytes: what a worker pushes to an origin, one object for each set (pure).

    length of the head: 4 bytes, big-endian | head: JSON | payloads, one after another

The head gives the length and SHA-256 of each payload in its order. Of a segment, a rung's payload
is the transport packets of its PES, video and sound, without tables. Of a part it is the samples
of the video and then those of the sound, which the head describes; the first part of each segment
brings the initialization sections, before all else.

Nothing that comes in is believed: whatever does not fit is a RemoteError that says what.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from segmenter.bounds import HEAD_BYTES_MAX
from segmenter.cmaf import Run
from segmenter.cutter import CutSegment, Pes
from segmenter.encoder import CutSet
from segmenter.ladder import Ladder
from segmenter.part_cutter import CutPart, PartCutter
from segmenter.part_grid import PartGrid
from segmenter.part_matcher import CutPartSet
from segmenter.ts import TICKS_WRAP, check_cut
from surgecast.control.messages import Count, Label, Message, Span
from surgecast.errors import LocalError, RemoteError

VERSION = 1
INIT_BYTES_MAX = 1 << 16
_LENGTH_BYTES = 4
_SAMPLES_MAX = 4096
_SOUND_OFF_S = 5.0
"""How far the sound of a part may begin from its video; more is no part of it."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Ticks = Annotated[int, Field(ge=0, lt=2**53)]
Word = Annotated[int, Field(ge=0, lt=2**32)]
Words = Annotated[list[Word], Field(min_length=1, max_length=_SAMPLES_MAX)]


class Payload(Message):
    """What one rung has of an object."""

    rung: Label
    bytes: Count
    sha256: Digest


class SetHead(Message):
    """Of a segment of every rung."""

    version: int = VERSION
    run: Count
    """Counts the encoders of the lease: what another encoder made does not go on where the one
    before ended."""
    start_ticks: Annotated[int, Field(ge=0, lt=TICKS_WRAP)]
    """Presentation time of its first picture, 90 kHz."""
    waited_s: Span = 0.0
    """How long ago it was cut: more than nothing where the origin was away."""
    rungs: list[Payload] = Field(min_length=1, max_length=12)


class Samples(Message):
    """Samples of one track. Ticks are those of the track's clock."""

    start: Ticks
    durations: Words
    sizes: Words
    flags: Words


class PartPayload(Payload):
    video: Samples
    sound: Samples | None = None


class PartHead(Message):
    """Of a part of every rung."""

    version: int = VERSION
    run: Count
    start_ticks: Ticks
    """Decode time of its first picture, on the clock of the video track."""
    index: Annotated[int, Field(ge=0, lt=_SAMPLES_MAX)]
    """Its place in its segment."""
    relieves: bool = False
    """This run goes on at the very frame where the one before it left."""
    waited_s: Span = 0.0
    inits: list[Payload] = Field(default_factory=list, max_length=12)
    rungs: list[PartPayload] = Field(min_length=1, max_length=12)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An object that waits to be sent: its digests are made once, its age at each try."""

    head: SetHead | PartHead
    payloads: tuple[bytes, ...]

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.payloads))

    def encode(self, waited_s: float) -> bytes:
        """The object, `waited_s` after it was cut."""
        head = self.head.model_copy(update={"waited_s": round(max(0.0, waited_s), 3)})
        text = head.model_dump_json(exclude_defaults=True).encode()
        return b"".join((len(text).to_bytes(_LENGTH_BYTES, "big"), text, *self.payloads))


@dataclass(frozen=True, slots=True)
class PushedSet:
    """A segment of every rung that came in."""

    run: int
    waited_s: float
    cut: CutSet


@dataclass(frozen=True, slots=True)
class PushedPart:
    """A part of every rung that came in."""

    run: int
    waited_s: float
    relieves: bool
    cut: CutPartSet


def outgoing_set(run: int, cut: CutSet) -> Outgoing:
    """To be encoded as often as it must be sent."""
    payloads = {rung: segment.packets for rung, segment in cut.segments.items()}
    rungs = [_payload(rung, body) for rung, body in payloads.items()]
    head = SetHead(run=run, start_ticks=cut.start_ticks % TICKS_WRAP, rungs=rungs)
    return Outgoing(head, tuple(payloads.values()))


def outgoing_part(run: int, cut: CutPartSet, *, relieves: bool) -> Outgoing:
    """The same of a set of parts; `relieves` says it of the first one of a run."""
    inits = dict(cut.inits) if cut.index == 0 else {}
    bodies = {
        rung: part.video.data + (part.sound.data if part.sound else b"")
        for rung, part in cut.parts.items()
    }
    head = PartHead(
        run=run,
        start_ticks=cut.start_ticks,
        index=cut.index,
        relieves=relieves,
        inits=[_payload(rung, init) for rung, init in inits.items()],
        rungs=[
            PartPayload(
                **_payload(rung, bodies[rung]).model_dump(),
                video=_samples(part.video),
                sound=_samples(part.sound) if part.sound and part.sound.sizes else None,
            )
            for rung, part in cut.parts.items()
        ],
    )
    return Outgoing(head, (*inits.values(), *bodies.values()))


def read_set(body: bytes, ladder: Ladder) -> PushedSet:
    """A segment set of a channel with this ladder. Raises RemoteError."""
    head, rest = _split(body, SetHead)
    _check_rungs([payload.rung for payload in head.rungs], ladder)
    ticks = int(ladder.segment_ticks)
    segments = {}
    for payload, packets in zip(head.rungs, _payloads(head.rungs, rest), strict=True):
        rung = payload.rung
        try:
            check_cut(packets, head.start_ticks, ticks, ladder.segment_frames)
        except LocalError as error:
            raise RemoteError(f"segment of rung {rung}: {error}") from error
        piece = Pes(is_video=True, pts=head.start_ticks, packets=packets)
        segments[rung] = CutSegment(head.start_ticks, ticks, (piece,))
    return PushedSet(head.run, head.waited_s, CutSet(head.start_ticks, segments))


def read_part(
    body: bytes, ladder: Ladder, grid: PartGrid, inits: Mapping[str, bytes]
) -> PushedPart:
    """A part set of a channel with this ladder. Raises RemoteError.

    `inits` are the initialization sections that came last of its run, for a part that has none.
    """
    head, rest = _split(body, PartHead)
    if head.index >= grid.segment_parts:
        raise RemoteError(f"part {head.index}: a segment here has {grid.segment_parts} parts")
    _check_rungs([payload.rung for payload in head.rungs], ladder)
    bodies = _payloads([*head.inits, *head.rungs], rest)
    count = len(head.inits)
    if head.inits:
        inits = dict(zip((payload.rung for payload in head.inits), bodies[:count], strict=True))
        for rung, init in inits.items():
            _check_init(rung, init, grid)
    rungs = [payload.rung for payload in head.rungs]
    if sorted(inits) != sorted(rungs):
        raise RemoteError(
            f"part {head.index}: inits of {', '.join(sorted(inits)) or 'no rung'} for "
            f"{', '.join(sorted(rungs))}; the first part of a segment brings them"
        )
    parts = {
        payload.rung: _part(head, payload, data, grid)
        for payload, data in zip(head.rungs, bodies[count:], strict=True)
    }
    cut = CutPartSet(head.start_ticks, head.index, parts, inits)
    return PushedPart(head.run, head.waited_s, head.relieves, cut)


def _payload(rung: str, body: bytes) -> Payload:
    return Payload(rung=rung, bytes=len(body), sha256=hashlib.sha256(body).hexdigest())


def _samples(run: Run) -> Samples:
    return Samples(
        start=run.start,
        durations=list(run.durations),
        sizes=list(run.sizes),
        flags=list(run.flags),
    )


Head = TypeVar("Head", SetHead, PartHead)


def _split(body: bytes, model: type[Head]) -> tuple[Head, memoryview]:
    """The head and what follows it."""
    length = int.from_bytes(body[:_LENGTH_BYTES], "big")
    if len(body) < _LENGTH_BYTES or not 0 < length <= HEAD_BYTES_MAX:
        raise RemoteError(f"head of {length} bytes: allowed 1 to {HEAD_BYTES_MAX}")
    end = _LENGTH_BYTES + length
    if len(body) < end:
        raise RemoteError(f"object of {len(body)} bytes ends in its head of {length}")
    try:
        head = model.model_validate_json(body[_LENGTH_BYTES:end])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "head"
        raise RemoteError(f"{field}: {first['msg']}") from error
    if head.version != VERSION:
        raise RemoteError(f"version: {head.version} is not known here; allowed: {VERSION}")
    return head, memoryview(body)[end:]


def _check_rungs(names: Sequence[str], ladder: Ladder) -> None:
    """All of the ladder, once, and the lowest among them: it stands in for those that are shed."""
    known = [rung.name for rung in ladder.rungs]
    for name in names:
        if name not in known:
            raise RemoteError(f"rung {name}: the ladder has {', '.join(known)}")
        if names.count(name) > 1:
            raise RemoteError(f"rung {name} comes twice")
    if known[-1] not in names:
        raise RemoteError(f"rung {known[-1]} is missing; the lowest must always be there")


def _payloads(told: Sequence[Payload], rest: memoryview) -> list[bytes]:
    """The bytes of each, which are those that were announced."""
    if (wanted := sum(payload.bytes for payload in told)) != len(rest):
        raise RemoteError(f"payloads have {len(rest)} bytes, the head says {wanted}")
    found, at = [], 0
    for payload in told:
        body = bytes(rest[at : at + payload.bytes])
        at += payload.bytes
        if hashlib.sha256(body).hexdigest() != payload.sha256:
            raise RemoteError(f"payload of rung {payload.rung}: its digest is another")
        found.append(body)
    return found


def _check_init(rung: str, init: bytes, grid: PartGrid) -> None:
    if len(init) > INIT_BYTES_MAX:
        raise RemoteError(f"init of rung {rung}: {len(init)} bytes; allowed {INIT_BYTES_MAX}")
    cutter = PartCutter(grid)
    try:
        fragments = cutter.feed(init)
    except LocalError as error:
        raise RemoteError(f"init of rung {rung}: {error}") from error
    if cutter.init != init or fragments:
        raise RemoteError(f"init of rung {rung}: more or less than ftyp and moov")


def _part(head: PartHead, payload: PartPayload, data: bytes, grid: PartGrid) -> CutPart:
    what = f"part {head.index} of rung {payload.rung}"
    video_bytes = sum(payload.video.sizes)
    video = _run(what, payload.video, data[:video_bytes])
    sound = _run(what, payload.sound, data[video_bytes:]) if payload.sound else None
    if video_bytes + (len(sound.data) if sound else 0) != len(data):
        raise RemoteError(f"{what}: {len(data)} bytes are not those of its samples")
    even = (grid.frame_ticks,) * grid.part_frames
    if video.start != head.start_ticks or video.durations != even:
        raise RemoteError(
            f"{what}: its video is not {grid.part_frames} frames of {grid.frame_ticks} ticks "
            f"from {head.start_ticks}"
        )
    if video.starts_with_key != (head.index == 0):
        raise RemoteError(f"{what}: the first part of a segment, no other, starts with a key frame")
    if sound is not None:
        off = abs(sound.start - grid.sound_ticks(video.start)) / grid.sound_ticks(grid.video_hz)
        if off > _SOUND_OFF_S:
            raise RemoteError(f"{what}: its sound begins {off:.1f} s from its video")
    return CutPart(head.index, video, sound)


def _run(what: str, told: Samples, data: bytes) -> Run:
    counts = {len(told.durations), len(told.sizes), len(told.flags)}
    if len(counts) != 1:
        raise RemoteError(f"{what}: durations, sizes and flags are not as many")
    if sum(told.sizes) != len(data):
        raise RemoteError(f"{what}: samples have {sum(told.sizes)} bytes, {len(data)} are there")
    return Run(told.start, tuple(told.durations), tuple(told.sizes), tuple(told.flags), data)
