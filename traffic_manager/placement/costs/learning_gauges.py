"""Numbers of learning for `/metrics`, read from the parts that count them."""

from collections.abc import Iterable

from surgecast.metrics import Metrics, Sample
from traffic_manager.placement.costs.learning import Learning


def watch_learning(metrics: Metrics, learning: Learning) -> None:
    """Show samples, how good predictions are, and what was found out about channels and workers."""
    _watch_samples(metrics, learning)
    _watch_predictions(metrics, learning)


def _watch_samples(metrics: Metrics, learning: Learning) -> None:
    learner, sampler = learning.learner, learning.sampler

    def last(what: str) -> Iterable[Sample]:
        newest = {sample.worker: sample for sample in learner.history}
        return [Sample(getattr(sample, what), (name,)) for name, sample in sorted(newest.items())]

    metrics.counter(
        "surgecast_transcode_samples",
        "Samples learned from",
        (),
        lambda: [Sample(learner.learned)],
    )
    metrics.counter(
        "surgecast_transcode_samples_refused",
        "Samples that were due and did not count",
        ("reason",),
        lambda: [Sample(count, (reason,)) for reason, count in sorted(sampler.refused.items())],
    )
    metrics.gauge(
        "surgecast_transcode_sample_speed",
        "Lowest mean speed of a worker's tasks in its newest sample",
        ("worker",),
        lambda: last("speed_min"),
    )
    metrics.gauge(
        "surgecast_transcode_sample_cores",
        "Cores in use in a worker's newest sample",
        ("worker",),
        lambda: last("cpu_cores"),
    )


def _watch_predictions(metrics: Metrics, learning: Learning) -> None:
    learner = learning.learner

    def factors(of: str) -> Iterable[Sample]:
        found = learner.costs.factors()[of]
        return [Sample(factor, (name,)) for name, factor in sorted(found.items())]

    metrics.gauge(
        "surgecast_transcode_cost_error",
        "Mean relative error of the last 100 predictions of cores, before they were learned from",
        (),
        lambda: [] if (found := learner.mape()) is None else [Sample(found)],
    )
    metrics.gauge(
        "surgecast_transcode_channel_factor",
        "What a channel costs over what the prior says",
        ("channel",),
        lambda: factors("channels"),
    )
    metrics.gauge(
        "surgecast_transcode_worker_factor",
        "What tasks cost on a worker over what the prior says",
        ("worker",),
        lambda: factors("workers"),
    )
    metrics.gauge(
        "surgecast_transcode_drift",
        "How near predictions are to a drift alarm; 1 rings",
        (),
        lambda: [Sample(learner.alarm.level)],
    )
    metrics.counter(
        "surgecast_transcode_drift_alarms",
        "Drift alarms",
        (),
        lambda: [Sample(learner.alarms)],
    )
    metrics.counter(
        "surgecast_transcode_fits",
        "Fits of how workers fare with their tasks",
        ("outcome",),
        lambda: [Sample(learning.fits, ("done",)), Sample(learning.fits_failed, ("failed",))],
    )
