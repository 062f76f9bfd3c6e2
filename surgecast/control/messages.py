"""The messages between a server (origin or relay) and the manager, as values.

A server posts a `ServerReport` now and then; the answer is a `Directive`, which holds for
`ttl_s` seconds. When it has run out, the server goes by its own YAML again, so that streaming never
depends on the manager. Both sides check what they are told: these models are the only way in.
Unknown fields are ignored, so that a newer server can talk to an older manager; an unknown
`version` is refused.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1

Label = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""A name that can stand in a URL, a metric and a steering manifest: servers, regions, channels."""
Url = Annotated[str, Field(max_length=512, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*[^/\s?#])?$")]
"""The base of a server, without a slash at its end."""
Rate = Annotated[float, Field(ge=0, le=1e13, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Span = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]

Tallied = Annotated[list[Count], Field(max_length=32)]
"""Viewers by the best rung that their connection can use, best first."""

State = Literal["starting", "warming", "serving", "draining"]
"""What a server says of itself."""


class Message(BaseModel):
    """Base of all messages: immutable, and nothing is converted into something else."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class RungReport(Message):
    """One rung of a channel, best first in `ChannelReport.ladder`."""

    rung: Label
    peak_bps: Rate
    average_bps: Rate
    sessions: Count = 0
    """Sessions owned here that have this one; where the player chooses, that play it."""


class ChannelReport(Message):
    """One channel on one server."""

    channel: Label
    ready: bool
    """Whether a player can start."""
    next_msn: Count = 0
    target_duration_s: Span = 0.0
    ladder: list[RungReport] = Field(default_factory=list, max_length=32)
    rung_cap: Label | None = None
    """The highest rung in force; None where nothing is capped."""
    viewers: dict[Label, Count] = Field(default_factory=dict, max_length=1024)
    """By region of the viewer. A session counts at its owner only, so that sums over servers are
    true whatever server answers."""
    usable: dict[Label, Tallied] = Field(default_factory=dict, max_length=1024)
    """By region: of viewers whose connections were seen here lately; a sample of them."""
    sessions_here: Count = 0
    """Sessions that asked this server for something lately, whoever owns them."""
    sessions_created: Count = 0
    """Since the process started."""
    egress_bps: Rate = 0.0


class RungSignature(Message):
    """One rung of what is to be made."""

    rung: Label
    width: Count
    height: Count
    frame_rate: Ratio
    video_bps: Rate


class Complexity(Message):
    """How hard a source is to encode, measured on a few seconds of it."""

    bits_per_pixel: Ratio
    """Of a fast encode at constant quality (x264 ultrafast, CRF 26)."""
    motion: Ratio
    """Share of those bits that is in predicted pictures, 0 for a still picture."""


class Signature(Message):
    """What the cost of a channel's encoding is predicted from, before it is encoded."""

    codec: Annotated[str, Field(max_length=32)] = "h264"
    """Of the source."""
    width: Count
    height: Count
    frame_rate: Ratio
    source_bps: Rate = 0.0
    """0 where that is not known."""
    complexity: Complexity | None = None
    """None until it was measured."""
    preset: Annotated[str, Field(max_length=16)] = "veryfast"
    low_latency: bool = False
    rungs: list[RungSignature] = Field(min_length=1, max_length=32)


class TranscodeWanted(Message):
    """A channel of an origin that wants to be encoded by a worker."""

    channel: Label
    spec: dict[str, Any]
    """Source, ladder and the rest as in the origin's YAML; workers check it, the manager does
    not look into it."""
    signature: Signature | None = None
    """None where the source must be seen first."""
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    """9 is served first."""
    backup: bool = False
    """Whether a second worker is to stand by with the same source."""
    lease: Count = 0
    """The newest lease whose media was taken; 0 for none."""
    silent_s: Span | None = None
    """Since media of that lease came last; None where none ever did."""
    gone_s: Span | None = None
    """Since the connection on which its worker waits was lost; None while there is one, and where
    it never had one."""
    backup_lease: Count = 0
    """The newest lease of a worker that stands by; 0 for none."""
    backup_silent_s: Span | None = None
    """As `silent_s`, of that one."""
    listens: bool = False
    """Whether its source comes to the worker, whenever that is: cores are kept until then."""


class ServerReport(Message):
    """What one server says of itself. Rates are measured over the last seconds."""

    version: int = VERSION
    server: Label
    role: Literal["origin", "relay"]
    url: Url
    """Where viewers reach it."""
    region: Label
    boot: Label
    """Made anew at each start of the process."""
    sequence: Count
    """Rises by one with each report of this boot."""
    sent_at_utc: Annotated[float, Field(allow_inf_nan=False)]
    """By the server's clock; only its skew is learned from that."""
    uptime_s: Span
    state: State
    capacity_bps: Rate
    """What it may send at most, from its own configuration; 0 where that says nothing."""
    budget_bps: Rate
    """The egress budget in force: its own or the directive's, whichever is lower; 0 for none."""
    egress_bps: Rate
    upstream_bps: Rate = 0.0
    """What it pulls itself (relays)."""
    upstream_fetches: Count = 0
    objects_fetched: Count = 0
    """Different objects among `upstream_fetches`."""
    ready_after_s: Span | None = None
    """From the start of the process until it could serve; None before that."""
    first_viewer_after_s: Span | None = None
    """From the start of the process until the first media left for a viewer."""
    channels: list[ChannelReport] = Field(default_factory=list, max_length=1024)
    transcodes: list[TranscodeWanted] = Field(default_factory=list, max_length=256)
    """Channels that are to be encoded by workers (origins)."""
    tokens_refused: Count = 0
    http_errors: Count = 0
    directive: str = Field(default="", max_length=128)
    """The directive in force; empty where there is none."""


class Peer(Message):
    """Another server as every server should know it."""

    server: Label
    url: Url
    region: Label
    role: Literal["origin", "relay"]
    state: State


class Drain(Message):
    """Take no new session, move those there are, retire when empty or after the deadline."""

    deadline_s: Span
    to: list[Label] = Field(default_factory=list, max_length=64)
    """Servers that take its sessions over, best first."""


class Directive(Message):
    """What the manager wants of one server, until `ttl_s` after it came."""

    version: int = VERSION
    id: str = Field(min_length=1, max_length=128)
    ttl_s: Span
    report_every_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)]
    egress_budget_bps: Rate | None = None
    rung_caps: dict[Label, Label] = Field(default_factory=dict, max_length=1024)
    """Channel -> highest rung allowed."""
    prewarm: list[Label] = Field(default_factory=list, max_length=1024)
    """Channels a relay is to have warm."""
    drain: Drain | None = None
    stop: bool = False
    """End the process at once: nobody is expected here any more."""
    peers: list[Peer] = Field(default_factory=list, max_length=4096)
    viewers: dict[Label, Count] = Field(default_factory=dict, max_length=1024)
    """Channel -> viewers in the whole fleet, so that every server can say the same."""
    usable: dict[Label, dict[Label, Tallied]] = Field(default_factory=dict, max_length=1024)
    """Channel -> region -> the sums of `ChannelReport.usable`: what newcomers are like."""
    steering_url: Url | None = None
    """With `/{channel}` added, where players ask; as in `http://manager:8090/steer`."""
