"""Metrics of what feeds a channel: its encoders, and which of its inputs is on air."""

from collections.abc import Mapping

from origin.channel import Channel
from surgecast.metrics import Metrics, Sample


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
