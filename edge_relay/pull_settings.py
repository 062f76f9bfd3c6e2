"""What an operator can say about pulling: from whom, how long to wait, how much to hold."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from surgecast.config import Settings
from surgecast.control.messages import Label, Url
from surgecast.units import Bytes, Seconds

T = TypeVar("T")


def _listed(value: object) -> object:
    """`"a, b"` as a list: what can stand in one variable of the environment."""
    return (
        [piece.strip() for piece in value.split(",") if piece.strip()]
        if isinstance(value, str)
        else value
    )


Listed = Annotated[tuple[T, ...], BeforeValidator(_listed)]


class SourceSettings(Settings):
    """Where a relay gets its media, and what of it."""

    upstreams: Listed[Url] = Field(
        min_length=1,
        max_length=16,
        description="base URLs of origins or relays, the best first; the others stand in for it",
    )
    channels: Listed[Label] = Field(
        default=(),
        max_length=1024,
        description="channels to re-stream; none named: all that the upstream has",
    )
    prewarm: Listed[Label] = Field(
        default=(),
        max_length=1024,
        description="channels of which all that a viewer begins with is pulled, in every rung, "
        "before the relay is ready, the rest of the live window after that, and all that follows "
        "whether asked for or not",
    )


class PullBounds(Settings):
    """How long is waited for upstreams, and how much is held."""

    connections_max: int = Field(
        default=64, ge=4, le=1024, description="connections to one upstream at the same time"
    )
    connect_timeout_s: Seconds = Field(
        default=3.0, description="an upstream that takes longer to accept is penalised"
    )
    first_byte_timeout_s: Seconds = Field(
        default=5.0, description="the same for the first byte of an answer"
    )
    stall_timeout_s: Seconds = Field(
        default=3.0, description="the same for every further byte, and for the feed's heartbeat"
    )
    object_timeout_s: Seconds = Field(
        default=30.0, description="an object that takes longer, however steadily, is given up"
    )
    attempts_max: int = Field(
        default=4, ge=1, le=20, description="tries for one object, over all upstreams"
    )
    retry_first_s: Seconds = Field(
        default=0.1, description="pause before the second try; each further one is twice as long"
    )
    retry_max_s: Seconds = Field(default=2.0, description="longest pause between two tries")
    penalty_s: Seconds = Field(
        default=5.0,
        description="an upstream that failed is asked last for this long; twice as long each time "
        "it fails again",
    )
    penalty_max_s: Seconds = Field(default=60.0, description="longest such time")
    negative_cache_s: Seconds = Field(
        default=1.0,
        description="an object that no upstream gave is not asked for again for this long",
    )
    store_bytes_max: Bytes = Field(
        default=2_000_000_000,
        description="media held in memory; above it the oldest is forgotten and pulled again",
    )
    fetches_max: int = Field(
        default=128, ge=1, le=4096, description="objects pulled at the same time; others queue"
    )
    eager_segments: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=3,
        description="a rung that was asked for within so many segments is pulled as soon as it is "
        "announced; 0 pulls when a viewer asks",
    )
    channels_every_s: Seconds = Field(
        default=5.0, description="time between two looks at which channels the upstream has"
    )


class PullSettings(SourceSettings, PullBounds):
    """Where a relay gets its media, and within which bounds."""
