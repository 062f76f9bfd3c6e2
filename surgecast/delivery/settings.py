"""What an operator can say about serving: addresses, limits, sessions and the rule that sets rungs.

Only values and their bounds are here. `surgecast.config.load` turns YAML into them.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from surgecast.config import Settings
from surgecast.units import Bps, Seconds

WAITERS_MAX = 10_000


class DeliverySettings(Settings):
    """Where and within which limits HTTP is served."""

    host: str = Field(
        default="0.0.0.0", min_length=1, description="address to listen on; 0.0.0.0 means all"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 takes a free one")
    connections_max: int = Field(
        default=12_000, ge=1, description="open connections; more are answered 503 and closed"
    )
    keepalive_timeout_s: Seconds = Field(
        default=75.0, description="an idle connection is closed after this time"
    )
    send_timeout_s: Seconds = Field(
        default=30.0, description="a reader that takes no byte for this long is cut off"
    )
    response_timeout_s: Seconds = Field(
        default=300.0, description="a reader that has not taken one answer by then is cut off"
    )
    write_buffer_bytes: int = Field(
        default=65536,
        ge=4096,
        le=4 * 1024 * 1024,
        description="bytes waiting for one reader above which nothing more is sent to it",
    )
    header_bytes_max: int = Field(
        default=8190, ge=1024, le=65536, description="longest request line or header field"
    )
    headers_max: int = Field(default=64, ge=8, le=256, description="header fields of one request")
    backlog: int = Field(default=4096, ge=1, description="connections waiting to be accepted")
    waiters_max: int = Field(
        default=WAITERS_MAX,
        ge=1,
        description="low-latency requests that wait for a part; more are answered 503",
    )
    fast_lane: bool = Field(
        default=True, description="answer plain GETs from memory ahead of the full HTTP server"
    )


class SessionSettings(Settings):
    """Who is a session of its own, and the bounds of them."""

    mark: Literal["all", "adaptive"] = Field(
        default="all",
        description="whose playlists have a session in their URL; with `adaptive`, `index.m3u8` "
        "and `ll.m3u8` are the same for all, a CDN can keep them, and their viewers do not count",
    )
    pathways_max: int = Field(
        default=2,
        ge=0,
        le=8,
        description="other servers that a session's multivariant playlist names beside this one",
    )
    sessions_max: int = Field(
        default=20_000, ge=1, description="sessions of one channel; more are answered 503"
    )
    session_expiry_s: Seconds = Field(
        default=60.0, description="a session that asked for nothing this long is forgotten"
    )
    unused_expiry_s: Seconds = Field(
        default=15.0, description="the same for a session whose playlist was never fetched"
    )


class PassingSettings(Settings):
    """How requests for sessions of other servers are passed on to them."""

    connect_timeout_s: Seconds = Field(
        default=1.0, description="a server that takes longer to connect to is dead"
    )
    silent_s: Seconds = Field(
        default=2.0, description="a server that does not answer so long is asked whether it lives"
    )
    look_again_s: Seconds = Field(
        default=2.0, description="a server found dead is looked at again after this time"
    )
    passes_max: int = Field(
        default=2000, ge=1, description="requests on their way to others; more are answered 503"
    )
    claim_after_passes: int = Field(
        default=6,
        ge=2,
        description="a session that asked here so often in a row is taken from its owner, "
        "where it asked for nothing meanwhile",
    )


class Condition(Settings):
    """When a rule holds; every condition that is given must."""

    egress_above_bps: Bps | None = Field(default=None, description="measured egress, bit/s")
    viewers_above: int | None = Field(default=None, ge=0, description="sessions in play")

    @model_validator(mode="after")
    def _something_given(self) -> Self:
        if self.egress_above_bps is None and self.viewers_above is None:
            raise ValueError("expected egress_above_bps, viewers_above or both")
        return self


class Rule(Settings):
    """A rung cap, and when it is set."""

    when: Condition
    rung_cap: str = Field(min_length=1, description="name of the highest rung allowed")


class AdaptationSettings(Settings):
    """How the rungs of sessions on `adaptive.m3u8` are set."""

    start_rung: str = Field(default="top", description="`top`, or the name of a rung")
    switch_signal: Literal["discontinuity", "none"] = Field(
        default="discontinuity",
        description="how a switch is marked; `none` only where all rungs have one resolution",
    )
    rules: tuple[Rule, ...] = Field(
        default=(), description="the first that holds sets the cap; looked at once a segment"
    )
    utility: Literal["log_bitrate"] | dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        default="log_bitrate",
        description="what rungs are worth where egress is short: `log_bitrate`, or each one's VMAF",
    )
    up_after_segments: int = Field(
        default=3, ge=1, description="segments a higher cap must hold before it is taken"
    )
    switch_spacing_segments: int = Field(
        default=3, ge=1, description="segments after a switch before rungs are raised again"
    )

    def unknown_rungs(self, rungs: tuple[str, ...]) -> list[str]:
        """Rungs named here that the ladder does not have, for a message of the caller."""
        named = [rule.rung_cap for rule in self.rules]
        named += [] if self.start_rung == "top" else [self.start_rung]
        named += self.vmaf or ()
        return [name for name in named if name not in rungs]

    def unrated_rungs(self, rungs: tuple[str, ...]) -> list[str]:
        """Rungs of the ladder that `utility` leaves out, though it names others."""
        return [] if self.vmaf is None else [name for name in rungs if name not in self.vmaf]

    @property
    def vmaf(self) -> Mapping[str, float] | None:
        """By rung; None where the bitrate decides."""
        return None if isinstance(self.utility, str) else self.utility


class EgressSettings(Settings):
    """What this server may send to viewers. The governor lowers rungs to stay within it."""

    capacity_bps: Bps | None = Field(
        default=None, description="what the network carries, bit/s; none: no limit of its own"
    )
    utilisation_target: float = Field(
        default=0.85, gt=0, le=1, description="share of the capacity that is the egress budget"
    )
    raise_margin: float = Field(
        default=0.05, ge=0, lt=1, description="share of the budget kept free when rungs are raised"
    )
    window_s: Seconds = Field(default=4.0, description="time over which egress is measured")


class ApiSettings(Settings):
    """Who may use `/api/v1`."""

    token: str | None = Field(
        default=None,
        min_length=8,
        repr=False,
        description="expected as `Authorization: Bearer ...`; none: loopback peers only",
    )


class FeedSettings(Settings):
    """What this server tells other servers of its channels."""

    enabled: bool = Field(
        default=True,
        description="whether relays may follow this server; it costs a digest of every object",
    )
    followers_max: int = Field(
        default=1000, ge=1, le=100_000, description="feeds followed at once; more are answered 503"
    )
    queue_lines_max: int = Field(
        default=1000,
        ge=10,
        le=100_000,
        description="lines waiting for one follower above which it is let go",
    )
    heartbeat_s: Seconds = Field(default=1.0, description="time between two signs of life")
    write_timeout_s: Seconds = Field(
        default=10.0, description="a follower that takes nothing for this long is let go"
    )
