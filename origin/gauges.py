"""Metrics of what feeds a channel (its encoders and inputs), and of its archive."""

from collections.abc import Callable, Mapping

from origin.channel import Channel
from origin.ingest import Ingest
from surgecast.media.archive import Archive
from surgecast.metrics import Metrics, Read, Sample


def watch_encoders(metrics: Metrics, channels: Mapping[str, Channel]) -> None:
    """Show the encoders of `channels`, a mapping that changes."""
    channel = ("channel",)
    metrics.gauge(
        "surgecast_encode_speed",
        "Media seconds encoded per second, over the last seconds",
        channel,
        lambda: [
            Sample(c.encode.speed, (name,))
            for name, c in channels.items()
            if c.encode.speed is not None
        ],
    )
    metrics.gauge(
        "surgecast_encode_lag_seconds",
        "How much later media comes out than in the encoder's best moment",
        channel,
        lambda: [Sample(c.encode.lag_s, (name,)) for name, c in channels.items()],
    )
    metrics.gauge(
        "surgecast_rungs_shed",
        "1 for a rung that is left out because the machine is too small",
        ("channel", "rung"),
        lambda: [
            Sample(1.0, (name, rung)) for name, c in channels.items() for rung in c.encode.shed
        ],
    )
    metrics.counter(
        "surgecast_rung_sheds",
        "Rungs that were left out",
        channel,
        lambda: [Sample(c.encode.sheds, (name,)) for name, c in channels.items()],
    )
    metrics.counter(
        "surgecast_rung_restores",
        "Rungs that came back",
        channel,
        lambda: [Sample(c.encode.restores, (name,)) for name, c in channels.items()],
    )


def watch_inputs(metrics: Metrics, channels: Mapping[str, Channel]) -> None:
    """Show the inputs of those `channels` that have a backup."""
    metrics.gauge(
        "surgecast_input_on_air",
        "1 for the input that is on air, of a channel with a backup",
        ("channel", "input"),
        lambda: [
            Sample(float(inputs.on_air == which), (name, which))
            for name, c in channels.items()
            if (inputs := c.inputs) is not None
            for which in ("primary", "backup")
        ],
    )
    metrics.gauge(
        "surgecast_input_ready",
        "1 for an input that is there, on air or not",
        ("channel", "input"),
        lambda: [
            Sample(float(ready), (name, which))
            for name, c in channels.items()
            if (inputs := c.inputs) is not None
            for which, ready in inputs.ready.items()
        ],
    )
    metrics.counter(
        "surgecast_input_switches",
        "Switches from one input to the other, by what they were for",
        ("channel", "reason"),
        lambda: [
            Sample(count, (name, reason))
            for name, c in channels.items()
            if (inputs := c.inputs) is not None
            for reason, count in inputs.switches.items()
        ],
    )


def watch_ingest(metrics: Metrics, channels: Mapping[str, Channel]) -> None:
    """Show what workers push to those `channels` that they encode."""

    def read(value: Callable[[Ingest], float | None]) -> Read:
        return lambda: [
            Sample(found, (name,))
            for name, c in channels.items()
            if c.ingest is not None and (found := value(c.ingest)) is not None
        ]

    channel = ("channel",)
    metrics.gauge(
        "surgecast_ingest_lease",
        "Number of the lease whose pushed media is on air",
        channel,
        read(lambda i: i.leases.on_air.number if i.leases.on_air else None),
    )
    metrics.gauge(
        "surgecast_ingest_silent_seconds",
        "Since a segment came last of the lease that is on air",
        channel,
        read(lambda ingest: ingest.silent_s),
    )
    metrics.counter(
        "surgecast_ingest_changes",
        "How often another lease came on air",
        channel,
        read(lambda ingest: ingest.leases.changes),
    )
    metrics.counter(
        "surgecast_ingest_bytes",
        "Bytes of pushed objects",
        channel,
        read(lambda ingest: ingest.bytes_in),
    )
    metrics.counter(
        "surgecast_ingest_objects",
        "Pushed sets of segments and of parts, by what became of them",
        ("channel", "kind", "outcome"),
        lambda: [
            Sample(count, (name, kind, outcome))
            for name, c in channels.items()
            if c.ingest is not None
            for (kind, outcome), count in c.ingest.outcomes.items()
        ],
    )


def watch_archives(metrics: Metrics, channels: Mapping[str, Channel]) -> None:
    """Show the archives of `channels`, a mapping that changes."""

    def read(value: Callable[[Archive], float]) -> Read:
        return lambda: [
            Sample(value(c.keeping.archive), (name,))
            for name, c in channels.items()
            if c.keeping.archive is not None
        ]

    channel = ("channel",)
    metrics.gauge(
        "surgecast_dvr_bytes",
        "Bytes of archived segments",
        channel,
        read(lambda archive: archive.catalog.size_bytes),
    )
    metrics.gauge(
        "surgecast_dvr_queue_bytes",
        "Bytes of segments in memory that wait for the disk",
        channel,
        read(lambda archive: archive.queue_bytes),
    )
    metrics.gauge(
        "surgecast_dvr_alarm",
        "1 while the archive is not written: the disk is full, slow or refuses",
        channel,
        read(lambda archive: archive.alarm is not None),
    )
    metrics.counter(
        "surgecast_dvr_segments_written",
        "Segment sets archived",
        channel,
        read(lambda archive: archive.written),
    )
    metrics.counter(
        "surgecast_dvr_segments_left_out",
        "Segment sets not archived because the disk was full or slow for too long",
        channel,
        read(lambda archive: archive.holes),
    )
    metrics.counter(
        "surgecast_dvr_segments_lost",
        "Archived segment sets that were found missing or damaged",
        channel,
        read(lambda archive: archive.lost),
    )
