"""Delivery's numbers for `/metrics`, read from the parts that count them."""

from surgecast.delivery.channels import Directory
from surgecast.delivery.fastlane import FastServer
from surgecast.metrics import Metrics, Sample


def watch_directory(metrics: Metrics, directory: Directory) -> None:
    """Show what is published and who watches."""
    channel = ("channel",)
    metrics.counter(
        "surgecast_segments_published",
        "Segments listed, all rungs of one number counting once",
        channel,
        lambda: [Sample(stage.segments_published, (stage.name,)) for stage in directory],
    )
    metrics.counter(
        "surgecast_slate_segments_published",
        "Segments that show the slate",
        channel,
        lambda: [Sample(stage.slates_published, (stage.name,)) for stage in directory],
    )
    metrics.counter(
        "surgecast_discontinuities",
        "Discontinuities of the channel itself, not of sessions",
        channel,
        lambda: [Sample(stage.discontinuities_published, (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_window_bytes",
        "Bytes of segments held in memory",
        channel,
        lambda: [Sample(stage.window.bytes_held, (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_next_msn",
        "Media sequence number of the next segment",
        channel,
        lambda: [Sample(stage.window.next_msn, (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_sessions",
        "Sessions on adaptive.m3u8, used or not",
        channel,
        lambda: [Sample(len(stage.sessions), (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_viewers",
        "Sessions that play",
        channel,
        lambda: [Sample(stage.sessions.viewers, (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_egress_bps",
        "Bits per second sent to viewers, over a few seconds",
        (),
        lambda: [Sample(directory.load().egress_bps)],
    )
    metrics.counter(
        "surgecast_bytes_out",
        "Bytes of answers handed to the network, by kind of object",
        ("kind",),
        lambda: [
            Sample(tally.bytes_out, (kind,)) for kind, tally in directory.tallies.by_kind.items()
        ],
    )
    metrics.counter(
        "surgecast_objects_requested",
        "Objects sent in answer to a request, by kind of object",
        ("kind",),
        lambda: [
            Sample(tally.requests, (kind,)) for kind, tally in directory.tallies.by_kind.items()
        ],
    )


def watch_server(metrics: Metrics, server: FastServer) -> None:
    """Show the connections of a server."""
    metrics.gauge(
        "surgecast_connections_open",
        "Connections open now",
        (),
        lambda: [Sample(server.connections_open)],
    )
    metrics.counter(
        "surgecast_connections_refused",
        "Connections refused because connections_max were open",
        (),
        lambda: [Sample(server.connections_refused)],
    )
    metrics.counter(
        "surgecast_readers_aborted",
        "Connections cut off because the reader stalled",
        (),
        lambda: [Sample(server.readers_aborted)],
    )
    metrics.counter(
        "surgecast_fast_answers",
        "Requests answered by the fast lane",
        (),
        lambda: [Sample(server.fast_answers)],
    )
