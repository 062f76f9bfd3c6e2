"""A relay's numbers for `/metrics`: what it pulls, what it holds, what it spares its upstream."""

from edge_relay.upstream import Upstream
from surgecast.delivery.channels import Directory
from surgecast.metrics import Metrics, Sample


def watch_upstream(metrics: Metrics, upstream: Upstream, directory: Directory) -> None:
    """Show what comes from above."""
    metrics.counter(
        "surgecast_upstream_fetches",
        "Requests for objects to an upstream, failed and repeated ones included",
        (),
        lambda: [Sample(upstream.pulled.upstream_fetches)],
    )
    metrics.counter(
        "surgecast_upstream_objects",
        "Different objects that came whole and as announced",
        (),
        lambda: [Sample(upstream.pulled.objects_fetched)],
    )
    metrics.counter(
        "surgecast_upstream_bytes",
        "Bytes that came from upstreams, feeds included",
        (),
        lambda: [Sample(upstream.pulled.bytes_in)],
    )
    metrics.gauge(
        "surgecast_upstream_bps",
        "Bits per second that come from upstreams, over a few seconds",
        (),
        lambda: [Sample(upstream.upstream_bps)],
    )
    metrics.gauge(
        "surgecast_origin_offload_ratio",
        "Share of the bytes sent to viewers that did not come from an upstream for them",
        (),
        lambda: [Sample(offload_ratio(upstream.pulled.bytes_in, directory.tallies.bytes_out))],
    )
    metrics.gauge(
        "surgecast_store_bytes",
        "Bytes of objects held in memory",
        (),
        lambda: [Sample(upstream.depot.bytes_held)],
    )
    metrics.counter(
        "surgecast_store_evictions",
        "Objects forgotten while they could still be asked for, because the store was full",
        (),
        lambda: [Sample(upstream.depot.evicted)],
    )


def offload_ratio(bytes_in: int, bytes_out: int) -> float:
    """1 where nothing had to be pulled, 0 where as much came as went; never below 0."""
    return max(0.0, 1.0 - bytes_in / bytes_out) if bytes_out else 0.0
