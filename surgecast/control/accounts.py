"""What a server's directory says in a report to the manager. Read only, and never a wait."""

from surgecast.control.messages import ChannelReport, RungReport
from surgecast.delivery.adaptation.egress import EgressMeter
from surgecast.delivery.channels import Directory, Stage

_MEDIA = ("segment", "part", "low_latency_segment")


class Accounts:
    """Makes reports of channels; remembers what was sent before, to know rates."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._egress: dict[str, EgressMeter] = {}

    def channels(self, now: float) -> list[ChannelReport]:
        """All channels on show."""
        egress_bps = self._egress_bps(now)
        return [_channel(stage, egress_bps[stage.name]) for stage in self._directory]

    def _egress_bps(self, now: float) -> dict[str, float]:
        """Media by channel. Groups of objects are called `{channel}/{rung}`."""
        sent = {stage.name: 0 for stage in self._directory}
        for group, count in self._directory.tallies.bytes_by_group.items():
            channel = group.partition("/")[0]
            if channel in sent:
                sent[channel] += count
        self._egress = {name: self._egress.get(name) or EgressMeter() for name in sent}
        return {name: self._egress[name].sample(now, count) for name, count in sent.items()}


def media_requests(directory: Directory) -> int:
    """Segments and parts that viewers were sent since the process started."""
    kinds = directory.tallies.by_kind
    return sum(kinds[kind].requests for kind in _MEDIA if kind in kinds)


def _channel(stage: Stage, egress_bps: float) -> ChannelReport:
    window = stage.window
    rungs = stage.rungs.sessions_by_rung()
    variants = [(r.name, window.variant(r, "")) for r in window.renditions]
    return ChannelReport(
        channel=stage.name,
        ready=window.ready,
        next_msn=window.next_msn,
        target_duration_s=float(window.target_duration_s),
        ladder=[
            RungReport(
                rung=name,
                peak_bps=variant.peak_bps,
                average_bps=variant.average_bps or variant.peak_bps,
                sessions=rungs[name],
            )
            for name, variant in variants
        ],
        rung_cap=_cap(stage),
        viewers=stage.viewers_by_region(),
        usable=stage.usable_by_region(),
        sessions_here=stage.urls.here,
        sessions_created=stage.urls.viewers.created,
        egress_bps=egress_bps,
    )


def _cap(stage: Stage) -> str | None:
    """None where the whole ladder is allowed."""
    return stage.rung_cap if stage.rungs.position else None
