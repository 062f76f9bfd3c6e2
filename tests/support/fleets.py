"""Reports of servers that do not exist, for tests of what the manager makes of them."""

from typing import Any

from surgecast.control.messages import ChannelReport, RungReport, ServerReport

LADDER = [
    RungReport(rung="720p", peak_bps=3.2e6, average_bps=2.8e6),
    RungReport(rung="480p", peak_bps=1.6e6, average_bps=1.4e6),
    RungReport(rung="240p", peak_bps=0.5e6, average_bps=0.4e6),
]


def channel_report(channel: str = "demo", **values: Any) -> ChannelReport:
    fields: dict[str, Any] = {
        "channel": channel,
        "ready": True,
        "next_msn": 20,
        "target_duration_s": 2.0,
        "ladder": LADDER,
    }
    return ChannelReport(**fields | values)


def report_of(server: str = "relay-1", sequence: int = 0, **values: Any) -> ServerReport:
    """A report of a relay that serves one channel; `viewers` is shorthand for those of it."""
    viewers = values.pop("viewers", {})
    fields: dict[str, Any] = {
        "server": server,
        "role": "relay",
        "url": f"http://{server}.example:8100",
        "region": "east",
        "boot": "boot-1",
        "sequence": sequence,
        "sent_at_utc": 1.8e9,
        "uptime_s": 100.0 + sequence,
        "state": "serving",
        "capacity_bps": 100e6,
        "budget_bps": 85e6,
        "egress_bps": 10e6,
        "channels": [channel_report(viewers=viewers)],
    }
    return ServerReport(**fields | values)


def origin_report(sequence: int = 0, **values: Any) -> ServerReport:
    return report_of("origin", sequence, **{"role": "origin", **values})
