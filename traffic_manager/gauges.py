"""The manager's numbers for `/metrics`, read from the parts that count them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from surgecast.metrics import Metrics, Sample
from traffic_manager.api.events import Events
from traffic_manager.demand import Load
from traffic_manager.fitting import Fitting
from traffic_manager.fleet import STATES
from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.forecasting.series import Series
from traffic_manager.joining.join import Join
from traffic_manager.joining.steer import Steer
from traffic_manager.manager import Manager
from traffic_manager.record.following import VERDICTS
from traffic_manager.record.recorder import Recorder


def watch_manager(metrics: Metrics, manager: Manager) -> None:
    """Show the fleet, the demand and what is decided."""

    def by_place(value: str) -> Iterable[Sample]:
        cells: Iterable[tuple[tuple[str, str], Load]] = manager.demand.cells.items()
        return [Sample(float(getattr(load, value)), place) for place, load in cells]

    def servers() -> Iterable[Sample]:
        found = [(s.role, s.region, s.state) for s in manager.fleet]
        return [Sample(found.count(place), place) for place in sorted(set(found))]

    place = ("region", "channel")
    metrics.gauge(
        "surgecast_fleet_servers",
        f"Servers that the manager knows; states: {', '.join(STATES)}",
        ("role", "region", "state"),
        servers,
    )
    metrics.gauge("surgecast_fleet_viewers", "Viewers", place, lambda: by_place("viewers"))
    metrics.gauge(
        "surgecast_fleet_egress_bps", "Bit/s sent to viewers", place, lambda: by_place("egress_bps")
    )
    metrics.gauge(
        "surgecast_fleet_wanted_bps",
        "Bit/s that viewers would take if nothing were held back",
        place,
        lambda: by_place("wanted_bps"),
    )
    metrics.counter(
        "surgecast_manager_decisions",
        "Decisions on record",
        (),
        lambda: [Sample(manager.logbook.count)],
    )
    metrics.counter(
        "surgecast_manager_verdicts",
        f"Decisions by what they were good for: {', '.join(VERDICTS)}",
        ("action", "verdict", "shadow"),
        lambda: [
            Sample(count, (action, verdict, str(shadow).lower()))
            for (action, verdict, shadow), count in manager.outcomes.counts.items()
        ],
    )
    metrics.counter(
        "surgecast_manager_reports", "Reports taken", (), lambda: [Sample(manager.reports)]
    )
    metrics.counter(
        "surgecast_manager_reports_refused",
        "Reports refused: too many, or of too many servers",
        (),
        lambda: [Sample(manager.screening.refused)],
    )
    metrics.counter(
        "surgecast_manager_findings",
        "Things in reports that were not believed, by kind",
        ("kind",),
        lambda: [Sample(n, (kind,)) for kind, n in manager.screening.counts.items()],
    )
    metrics.gauge(
        "surgecast_manager_lead_time_seconds",
        "From a decision until viewers are on the relay: as far as the policy looks ahead",
        (),
        lambda: [Sample(manager.lead_time_s)],
    )
    metrics.gauge(
        "surgecast_manager_first_viewer_seconds",
        "Median time from the decision to start a relay until it served its first viewer",
        (),
        lambda: _known(manager.start_times.first_viewer_s),
    )


def watch_forecasts(metrics: Metrics, series: Callable[[], Mapping[str, Series]]) -> None:
    """Show how good the forecasts of regions are, and what their forecasters met with."""

    def by_region(read: Callable[[Series], float | None]) -> list[Sample]:
        found = [(region, read(one)) for region, one in series().items()]
        return [Sample(value, (region,)) for region, value in found if value is not None]

    def coverage() -> Iterable[Sample]:
        for region, one in series().items():
            card = one.scorecard
            for when, read in (("all", card.coverage), ("rise", card.coverage_in_rise)):
                for quantile in QUANTILES:
                    share = read(quantile)
                    if share is not None:
                        yield Sample(share, (region, str(quantile), when))

    def repairs() -> Iterable[Sample]:
        for region, one in series().items():
            for kind, count in one.forecaster.repairs.items():
                yield Sample(count, (region, kind))

    metrics.gauge(
        "surgecast_forecast_mase_ratio",
        "Error of the forecast over that of no forecast (it stays as it is); below 1 it helps",
        ("region",),
        lambda: by_region(lambda one: one.scorecard.mase),
    )
    metrics.gauge(
        "surgecast_forecast_coverage_ratio",
        "How often what came was not above the quantile: of all forecasts, of those in a rise",
        ("region", "quantile", "when"),
        coverage,
    )
    metrics.gauge(
        "surgecast_forecast_bias_ratio",
        "Mean of expected minus what came, as a share of the level",
        ("region",),
        lambda: by_region(lambda one: one.scorecard.bias),
    )
    metrics.counter(
        "surgecast_forecasts_judged",
        "Forecasts of which the time has come, each horizon by itself",
        ("region",),
        lambda: by_region(lambda one: one.scorecard.samples),
    )
    metrics.gauge(
        "surgecast_forecast_used",
        "1 while the forecast decides, 0 while present demand does because it is not believed",
        ("region",),
        lambda: by_region(lambda one: not one.doubt),
    )
    metrics.gauge(
        "surgecast_forecast_drift",
        "1 while the forecaster's errors are much larger than they used to be",
        ("region",),
        lambda: by_region(lambda one: _drifts(one.forecaster.explain())),
    )
    metrics.counter(
        "surgecast_forecast_repairs",
        "Samples that a forecaster could not take as they were, by what was wrong",
        ("region", "kind"),
        repairs,
    )


def watch_fits(metrics: Metrics, fitting: Fitting) -> None:
    """Show what became of fits outside."""
    metrics.counter(
        "surgecast_forecast_fits",
        "Fits of a model for one region",
        ("outcome",),
        lambda: [Sample(fitting.done, ("done",)), Sample(fitting.not_done, ("failed",))],
    )
    metrics.gauge(
        "surgecast_forecast_fit_seconds",
        "How long the last fit took that found a model",
        (),
        lambda: _known(fitting.took_s),
    )


def watch_viewers(metrics: Metrics, join: Join, steer: Steer) -> None:
    """Show who is sent where, and why."""

    def counted(counts: Mapping[tuple[str, str], int]) -> list[Sample]:
        return [Sample(count, place) for place, count in counts.items()]

    place = ("region", "channel")
    metrics.counter(
        "surgecast_joins", "Viewers sent to a server", place, lambda: counted(join.joins)
    )
    metrics.counter(
        "surgecast_joins_turned_away",
        "Viewers for whom no server had room",
        place,
        lambda: counted(join.turned_away),
    )
    metrics.counter(
        "surgecast_steering_answers",
        "Steering manifests, by why the viewer was sent where it was sent",
        ("reason",),
        lambda: [Sample(count, (reason,)) for reason, count in steer.reasons.items()],
    )


def watch_process(metrics: Metrics, recorder: Recorder | None, events: Events) -> None:
    """Show what is written and who listens."""
    metrics.counter(
        "surgecast_history_rows_written",
        "Rows written to the history",
        (),
        lambda: [] if recorder is None else [Sample(recorder.written)],
    )
    metrics.counter(
        "surgecast_history_rows_left_out",
        "Rows that were not written: the database was away or slow",
        (),
        lambda: [] if recorder is None else [Sample(recorder.left_out)],
    )
    metrics.gauge(
        "surgecast_manager_watchers",
        "Connections to the live view of events",
        (),
        lambda: [Sample(len(events))],
    )


def _drifts(explanation: Mapping[str, Any]) -> bool:
    return (explanation.get("drift") or {}).get("since_s") is not None


def _known(value: float | None) -> list[Sample]:
    return [] if value is None else [Sample(value)]
