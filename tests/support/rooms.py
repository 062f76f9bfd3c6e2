"""Fleets for tests of what the manager decides: servers from a few words each."""

from collections.abc import Mapping, Sequence

from surgecast.control.messages import ChannelReport, RungReport, ServerReport, State
from traffic_manager.fleet import Fleet
from traffic_manager.settings import FleetSettings

HIGH_BPS, LOW_BPS = 1_000_000.0, 100_000.0
LADDER = [
    RungReport(rung="high", peak_bps=HIGH_BPS * 1.2, average_bps=HIGH_BPS),
    RungReport(rung="low", peak_bps=LOW_BPS * 1.2, average_bps=LOW_BPS),
]


def report(
    server: str,
    region: str,
    *,
    budget_bps: float = 100 * HIGH_BPS,
    egress_bps: float = 0.0,
    state: State = "serving",
    viewers: Mapping[str, int] | None = None,
    url: str = "",
    channel: str = "demo",
    ready: bool = True,
    sequence: int = 1,
    ladder: Sequence[RungReport] = LADDER,
) -> ServerReport:
    """A server with one channel of two rungs. `origin...` is an origin, the rest are relays."""
    shown = ChannelReport(
        channel=channel,
        ready=ready,
        ladder=list(ladder),
        viewers=dict(viewers or {}),
        egress_bps=egress_bps,
    )
    return ServerReport(
        server=server,
        role="origin" if server.startswith("origin") else "relay",
        url=url or f"http://{server}.example:8080",
        region=region,
        boot="boot",
        sequence=sequence,
        sent_at_utc=0.0,
        uptime_s=60.0,
        state=state,
        capacity_bps=budget_bps,
        budget_bps=budget_bps,
        egress_bps=egress_bps,
        channels=[shown],
    )


def fleet(*reports: ServerReport, now_s: float = 0.0) -> Fleet:
    """A fleet that has heard these."""
    found = Fleet(FleetSettings())
    for one in reports:
        found.report(one, now_s)
    return found
