"""Delivery's numbers for `/metrics`, read from the parts that count them."""

from collections.abc import Callable

from surgecast.delivery.channels import Directory
from surgecast.delivery.fastlane import FastServer
from surgecast.delivery.low_latency import LowLatencyStage
from surgecast.delivery.replica.feed import ReplicaFeeds
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
    _watch_sessions(metrics, directory)
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
    _watch_rungs(metrics, directory)
    _watch_low_latency(metrics, directory)


def _watch_rungs(metrics: Metrics, directory: Directory) -> None:
    channel, governor = ("channel",), directory.governor
    metrics.gauge(
        "surgecast_egress_budget_bps",
        "Bits per second that may be sent to viewers; none where nothing limits them",
        (),
        lambda: [Sample(budget) for budget in [governor.budget_bps] if budget is not None],
    )
    metrics.gauge(
        "surgecast_egress_ungoverned_bps",
        "Bits per second that go to others than the sessions whose rung is chosen here",
        (),
        lambda: [Sample(governor.ungoverned_bps)],
    )
    metrics.counter(
        "surgecast_egress_over_budget_segments",
        "Segments shown while egress was over budget for the second one in a row, or longer",
        channel,
        lambda: [
            Sample(governor.account(stage.name).over_budget_segments, (stage.name,))
            for stage in directory
        ],
    )
    metrics.gauge(
        "surgecast_channel_egress_bps",
        "Bits per second sent of a channel, over a few seconds before its newest segment",
        channel,
        lambda: [Sample(stage.rungs.egress.egress_bps, (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_rung_sessions",
        "Sessions by the rung they have",
        ("channel", "rung"),
        lambda: [
            Sample(count, (stage.name, rung))
            for stage in directory
            for rung, count in stage.rungs.sessions_by_rung().items()
        ],
    )
    metrics.gauge(
        "surgecast_rung_allowed",
        "1 for each rung that the cap in force allows",
        ("channel", "rung"),
        lambda: [
            Sample(float(position >= stage.rungs.position), (stage.name, rung))
            for stage in directory
            for position, rung in enumerate(stage.rungs.rungs)
        ],
    )
    metrics.gauge(
        "surgecast_governor_tick_s",
        "Seconds that deciding the rungs for the newest segment took",
        (),
        lambda: [Sample(directory.governor_tick_s)],
    )


def _watch_sessions(metrics: Metrics, directory: Directory) -> None:
    channel = ("channel",)
    metrics.gauge(
        "surgecast_sessions",
        "Sessions of this server, used or not",
        channel,
        lambda: [Sample(stage.session_count, (stage.name,)) for stage in directory],
    )
    metrics.gauge(
        "surgecast_viewers",
        "Sessions that play",
        ("channel", "region"),
        lambda: [
            Sample(count, (stage.name, region))
            for stage in directory
            for region, count in stage.viewers_by_region().items()
        ],
    )
    metrics.counter(
        "surgecast_sessions_created",
        "Sessions that came",
        channel,
        lambda: [Sample(stage.urls.viewers.created, (stage.name,)) for stage in directory],
    )
    metrics.counter(
        "surgecast_tokens_refused",
        "Requests answered 403 for their token",
        ("reason",),
        lambda: [Sample(count, (reason,)) for reason, count in directory.tokens_refused.items()],
    )


def _watch_low_latency(metrics: Metrics, directory: Directory) -> None:
    channel = ("channel",)

    def samples(value: Callable[[LowLatencyStage], float]) -> Callable[[], list[Sample]]:
        """One for each channel that has low latency on."""
        return lambda: [
            Sample(value(stage.low_latency), (stage.name,))
            for stage in directory
            if stage.low_latency is not None
        ]

    metrics.counter(
        "surgecast_parts_published",
        "Low-latency parts listed, all rungs of one place counting once",
        channel,
        samples(lambda stage: stage.parts_published),
    )
    metrics.gauge(
        "surgecast_low_latency_next_msn",
        "Media sequence number of the first low-latency segment that is not whole",
        channel,
        samples(lambda stage: stage.window.next_msn),
    )
    metrics.gauge(
        "surgecast_low_latency_window_bytes",
        "Bytes of parts and low-latency segments held in memory",
        channel,
        samples(lambda stage: stage.window.bytes_held),
    )
    metrics.gauge(
        "surgecast_waiters",
        "Requests that are held until a part is there",
        channel,
        samples(lambda stage: len(stage.room)),
    )
    metrics.counter(
        "surgecast_waits_answered",
        "Held requests that got what they waited for",
        (),
        lambda: [Sample(directory.turnstile.answered)],
    )
    metrics.counter(
        "surgecast_waits_refused",
        "Requests for a part that were answered 503: it did not come in time, or too many wait",
        (),
        lambda: [Sample(directory.turnstile.turned_away)],
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


def watch_feeds(metrics: Metrics, feeds: ReplicaFeeds) -> None:
    """Show who follows this server."""
    metrics.gauge(
        "surgecast_feed_followers",
        "Feeds of this server's channels that are followed now, by relays",
        (),
        lambda: [Sample(feeds.followers)],
    )
    metrics.counter(
        "surgecast_feed_followers_let_go",
        "Followers that were too slow",
        (),
        lambda: [Sample(feeds.followers_let_go)],
    )
