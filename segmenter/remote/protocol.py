"""What a worker and the origin of its channel say to one another beside the media (pure)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from segmenter.ladder import Decided, Ladder
from segmenter.settings import FRAME_RATES, Name
from surgecast.control.messages import Count, Message, Signature
from surgecast.control.transcoding import Role
from surgecast.errors import RemoteError

VERSION = 1
ANNOUNCEMENT_BYTES_MAX = 1 << 16

Pixels = Annotated[int, Field(ge=2, le=4096)]
Bits = Annotated[int, Field(ge=1000, le=1_000_000_000)]


class LadderRung(Message):
    name: Name
    width: Pixels
    height: Pixels
    video_bps: Bits
    max_bps: Bits


class LadderMessage(Message):
    """A decided ladder, highest rung first."""

    kind: Literal["by_resolution", "iso_resolution"]
    rungs: list[LadderRung] = Field(min_length=1, max_length=12)
    preset: Annotated[str, Field(max_length=16)] = "veryfast"
    audio_bps: Bits
    frame_rate: Annotated[str, Field(pattern=r"^[0-9]{1,6}(/[0-9]{1,4})?$")]
    segment_frames: Annotated[int, Field(ge=1, le=3600)]
    level: Annotated[str, Field(pattern=r"^[1-6]\.[0-3]$")]


class Announcement(Message):
    """What comes before the media of a lease; again whenever one of it changes."""

    version: int = VERSION
    role: Role = "primary"
    ladder: LadderMessage
    codec: Annotated[str, Field(pattern=r"^avc1\.[0-9a-f]{6}$")] | None = None
    """RFC 6381 name of the video, where the encoder knows it."""
    feeding: bool = True
    """Whether an encoder runs; while it has no source, viewers see the slate."""
    signature: Signature | None = None
    """What is encoded, for the manager."""


class LeaseState(Message):
    """How the origin sees a lease."""

    lease: Count
    announced: bool = False
    """Whether media is taken; where not, announce it (again)."""
    next: Count = 0
    """The sequence of the segment set that is wanted next."""
    next_part: Count = 0
    on_air: bool = False
    decided: dict[str, Any] | None = None
    """Ladder and codec of the channel, where they are decided."""
    error: str = ""


def ladder_message(ladder: Ladder) -> LadderMessage:
    return LadderMessage.model_validate(ladder.to_dict())


def ladder_of(message: LadderMessage) -> Ladder:
    """The ladder that was announced. Raises RemoteError for one that no channel can have."""
    names = [rung.name for rung in message.rungs]
    if len({*names}) != len(names):
        raise RemoteError(f"ladder.rungs: two of {', '.join(names)} have one name")
    rates = {str(rate) for rate in FRAME_RATES.values()}
    if message.frame_rate not in rates:
        allowed = ", ".join(sorted(rates))
        raise RemoteError(f"ladder.frame_rate: {message.frame_rate}; allowed: {allowed}")
    ladder = Ladder.from_dict(message.model_dump())
    if ladder.segment_ticks.denominator != 1 or not 1 <= ladder.segment_duration_s <= 11:
        raise RemoteError(
            f"ladder.segment_frames: {message.segment_frames} at {message.frame_rate} frames/s is "
            "no whole number of 90 kHz ticks, or not 1 to 11 s"
        )
    order = sorted(ladder.rungs, key=lambda rung: (rung.height, rung.video_bps), reverse=True)
    if list(ladder.rungs) != order:
        raise RemoteError("ladder.rungs: the highest comes first")
    return ladder


def misfit(wanted: Ladder, found: Ladder) -> str | None:
    """In what `found` differs from the ladder of the channel; None where it fits.

    The preset is the encoder's own business.
    """
    ours, theirs = wanted.to_dict(), found.to_dict()
    for field in ours:
        if field != "preset" and ours[field] != theirs[field]:
            return f"ladder.{field}: {theirs[field]}; the channel has {ours[field]}"
    return None


def decided_of(state: LeaseState) -> Decided | None:
    """What the channel's origin has decided. Raises RemoteError for what nobody can encode."""
    if state.decided is None:
        return None
    values: Mapping[str, Any] = state.decided
    try:
        message = LadderMessage.model_validate(values.get("ladder"))
        codec = TypeAdapter(str).validate_python(values.get("codec"), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise RemoteError(f"decided.{field}: {first['msg']}") from error
    return Decided(ladder_of(message), codec)
