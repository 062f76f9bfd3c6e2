"""What an event adds to a forecast."""

import pytest

from tests.support.fleets import LADDER, channel_report, origin_report
from traffic_manager.ahead import Ahead, events_bps, told_with_events, with_events
from traffic_manager.calendar import Expected
from traffic_manager.demand import Demand, Load
from traffic_manager.fleet import Fleet
from traffic_manager.settings import FleetSettings

MBPS = 1_000_000.0


def demand(**mbps: float) -> Demand:
    """Of channels in the east."""
    return Demand(0.0, {("east", c): Load(10, 0.0, 0.0, n * MBPS) for c, n in mbps.items()})


@pytest.mark.parametrize(
    ("now", "forecast", "channel", "event", "expected"),
    [
        # what is watched, forecast of the region, of the channel, event, expected (Mbit/s)
        ({"final": 10}, 12, None, 50, 50),
        ({"final": 10}, 70, None, 50, 70),
        ({"news": 30}, 40, None, 50, 90),
        ({"news": 30, "final": 10}, 45, 12, 50, 83),
        ({"news": 30, "final": 10}, 45, None, 50, 85),
        ({"news": 30, "final": 10}, 45, 60, 50, 50),
    ],
    ids=[
        "the only channel: the larger of both",
        "a forecast above it stays",
        "on top of what others watch",
        "and not twice for those who are there",
        "as there are now where that channel is not forecast",
        "where the channel is forecast higher, nothing is added",
    ],
)
def test_an_event_comes_on_top_of_the_other_channels(now, forecast, channel, event, expected):
    channels = {} if channel is None else {("east", "final"): channel * MBPS}
    bps = forecast * MBPS
    before = Ahead({"east": bps}, {"east": bps}, [], {"east": (bps, bps)}, channels)
    after = with_events(before, {("east", "final"): event * MBPS}, demand(**now))
    assert after.upper_bps["east"] == after.likely_bps["east"] == expected * MBPS
    assert after.quantiles_bps["east"] == (expected * MBPS,) * 2
    assert after.channels_bps["east", "final"] == max(event, channel or 0) * MBPS
    assert before.upper_bps == {"east": bps}, "what came in is not changed"


def test_without_a_forecast_it_comes_on_top_of_the_present():
    after = with_events(Ahead({}, {}, []), {("east", "final"): 50 * MBPS}, demand(news=30))
    assert after.upper_bps == after.likely_bps == {"east": 80 * MBPS}
    assert after.quantiles_bps == {}


def test_an_event_counts_at_the_rate_that_its_viewers_are_to_have():
    fleet = Fleet(FleetSettings())
    fleet.report(origin_report(1, channels=[channel_report("final"), channel_report("news")]), 0.0)
    coming = [Expected("east", "final", 10, ("e",)), Expected("east", "nowhere", 10, ("e",))]
    assert events_bps(coming, list(fleet), {"final": "480p"}) == {
        ("east", "final"): 10 * LADDER[1].average_bps
    }
    assert events_bps([], list(fleet), {}) == {}


def test_what_is_told_of_a_region_includes_its_events_at_the_horizons_they_come_within():
    told = {"horizons_s": [10.0, 60.0], "quantiles_bps": {"0.5": [9, 9], "0.95": [12, 70]}}
    events = [{}, {("east", "final"): 50.0, ("west", "final"): 1000.0}]
    found = told_with_events(told, "east", events, demand(final=0))
    assert found["quantiles_bps"] == {"0.5": [9, 50], "0.95": [12, 70]}
    assert told["quantiles_bps"]["0.5"] == [9, 9], "what came in is not changed"
    assert told_with_events(told, "north", events, demand(final=0)) is told
