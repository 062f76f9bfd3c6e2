"""Which series there are, when they are fed, and what is made of clocks that jump."""

import json

import pytest

from traffic_manager.demand import Demand, Load
from traffic_manager.forecasting.leading import Leading
from traffic_manager.forecasts import Forecasts
from traffic_manager.settings import ForecastingSettings

UTC = 1.8e9
LEAD_S = 16.0
EACH_BPS = 1e6


def load(viewers: float, joins_per_s: float = 0.0) -> Load:
    return Load(int(viewers), joins_per_s, viewers * EACH_BPS, viewers * EACH_BPS)


def demand(now_s: float, **viewers: float) -> Demand:
    """Viewers of one channel by region, or with `region__channel`."""
    cells = {}
    for name, count in viewers.items():
        region, _, channel = name.partition("__")
        cells[region, channel or "demo"] = load(count)
    return Demand(now_s, cells)


class Watch:
    """Forecasts that are asked each half second."""

    def __init__(self, **settings) -> None:
        values = {"kind": "damped_drift"} | settings
        self.forecasts = Forecasts(ForecastingSettings(**values))
        self.now_s, self.utc = 100.0, UTC
        self.texts: list[str] = []
        self.back: list[str] = []

    def look(self, cells: Demand, after_s: float = 0.5, utc_s: float | None = None) -> None:
        self.now_s += after_s
        self.utc += after_s if utc_s is None else utc_s
        self.texts += self.forecasts.learn(cells, self.now_s, self.utc)
        self.ahead = self.forecasts.ahead(LEAD_S, self.now_s)
        self.texts += self.ahead.failed
        self.back += self.ahead.believed_again

    def hold(self, looks: int, **viewers: float) -> "Watch":
        for _ in range(looks):
            self.look(demand(self.now_s, **viewers))
        return self


def test_a_region_is_sampled_once_a_second_and_a_channel_less_often():
    watch = Watch().hold(60, east__a=10, east__b=5)
    followed = watch.forecasts.series
    assert set(followed) == {("east", ""), ("east", "a"), ("east", "b")}
    assert len(followed["east", ""].forecaster.past) == 30
    assert followed["east", "a"].forecaster.past.step_s == 5.0


def test_a_region_with_one_channel_needs_no_series_for_it():
    assert set(Watch().hold(10, east=10, west=3).forecasts.series) == {("east", ""), ("west", "")}


def test_the_most_watched_channels_are_followed_and_never_more_than_allowed():
    cells = {f"east__c{n}": 100.0 - n for n in range(40)}
    watch = Watch(channels_max=3).hold(10, **cells)
    channels = {channel for _, channel in watch.forecasts.series if channel}
    assert channels == {"c0", "c1", "c2"}
    watch.hold(10, **(cells | {"east__c2": 95.5}))
    assert {channel for _, channel in watch.forecasts.series if channel} == channels
    watch.hold(10, **(cells | {"east__c2": 1.0}))
    assert {channel for _, channel in watch.forecasts.series if channel} == {"c0", "c1", "c3"}
    assert set(watch.ahead.channels_bps) == {("east", "c0"), ("east", "c1"), ("east", "c3")}


def test_many_regions_take_turns_and_channels_have_theirs():
    regions = {f"r{n}__{channel}": 10.0 for n in range(70) for channel in "ab"}
    watch = Watch(kind="persistence")
    watch.hold(1, **regions)
    assert len(watch.forecasts.series) == 32
    watch.hold(40, **regions)
    taken = {place: len(s.forecaster.past) for place, s in watch.forecasts.series.items()}
    assert min(count for (_, channel), count in taken.items() if not channel) >= 12
    assert sum(bool(channel) for _, channel in taken) == 16
    assert not watch.texts and len(watch.ahead.upper_bps) == 70


def test_a_region_that_vanishes_is_taken_for_empty_until_it_is_forgotten():
    watch = Watch().hold(20, east=50, west=5)
    watch.hold(40, west=5)
    assert watch.ahead.upper_bps["east"] < 25 * EACH_BPS
    watch.forecasts.forget({"west": None})
    assert watch.forecasts.regions() == ["west"]
    assert set(watch.hold(10, east=20, west=5).ahead.upper_bps) == {"east", "west"}


def test_a_silence_leaves_the_present_demand_to_decide_and_is_told_once():
    watch = Watch().hold(20, east=50)
    for _ in range(30):
        watch.now_s += 0.5
        watch.utc += 0.5
        watch.ahead = watch.forecasts.ahead(LEAD_S, watch.now_s)
        watch.texts += watch.ahead.failed
    assert watch.ahead.upper_bps == {}
    assert "learned nothing" in watch.ahead.doubts["east"]
    assert watch.forecasts.told("east")["used"] is False
    assert len(watch.texts) == 1
    watch.hold(4, east=50)
    assert "east" in watch.ahead.upper_bps and watch.back == ["east"]


def test_a_clock_that_goes_back_begins_anew_and_is_told():
    watch = Watch().hold(20, east=50)
    watch.look(demand(0, east=50), after_s=-50.0)
    assert watch.texts == ["the clock went back; what was learned is dropped"]
    assert "east" in watch.hold(4, east=50).ahead.upper_bps


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_wall_clock_that_jumps_is_no_failure(jump_s):
    watch = Watch().hold(20, east=50)
    watch.look(demand(0, east=50), utc_s=jump_s)
    assert watch.texts == []
    assert watch.hold(4, east=50).ahead.upper_bps["east"] < 80 * EACH_BPS


def test_a_machine_that_slept_is_a_gap():
    watch = Watch().hold(20, east=50)
    watch.look(demand(0, east=5), after_s=7200.0)
    assert watch.texts == []
    repairs = watch.forecasts.series["east", ""].forecaster.repairs
    assert {kind for kind, count in repairs.items() if count} == {"gap"}


def test_those_who_join_raise_what_is_expected_at_once():
    watch = Watch(kind="persistence").hold(20, east=20)
    cells = {("east", "demo"): load(60, joins_per_s=80.0)}
    watch.look(Demand(watch.now_s, cells))
    watch.look(Demand(watch.now_s, {("east", "demo"): load(100, joins_per_s=80.0)}))
    assert watch.ahead.likely_bps["east"] > 500 * EACH_BPS
    assert watch.ahead.upper_bps["east"] > watch.ahead.likely_bps["east"]
    assert list(watch.ahead.quantiles_bps["east"]) == sorted(watch.ahead.quantiles_bps["east"])


def test_another_quantile_keeps_what_was_learned_and_another_kind_does_not():
    watch = Watch().hold(20, east=50)
    watch.forecasts.change(ForecastingSettings(kind="damped_drift", quantile=0.95))
    assert watch.forecasts.regions() == ["east"]
    watch.forecasts.change(ForecastingSettings(kind="persistence"))
    assert watch.forecasts.regions() == []
    watch.hold(2, east=50)
    watch.forecasts.change(ForecastingSettings(kind="reactive"))
    assert watch.hold(2, east=50).ahead.upper_bps == {}


def restarted(watch: Watch, **settings) -> Watch:
    again = Watch(**settings)
    again.now_s, again.utc = 7.0, watch.utc + 5
    again.forecasts.load(json.loads(json.dumps(watch.forecasts.save())))
    return again


def test_what_was_learned_outlives_the_manager():
    watch = Watch().hold(60, east=50)
    again = restarted(watch).hold(1, east=50)
    told = again.forecasts.told("east")["explanation"]
    assert told["mean_error_by_horizon_s"]["10"] == 0
    assert again.forecasts.series["east", ""].scorecard.samples >= 20
    assert again.texts == [] and "east" in again.ahead.upper_bps


def test_what_another_kind_learned_is_left():
    watch = Watch().hold(20, east=50)
    assert restarted(watch, kind="persistence").forecasts.regions() == []


def test_a_wall_clock_that_was_set_back_in_between_drops_what_was_learned():
    watch = Watch().hold(20, east=50)
    watch.utc -= 4 * 3600
    again = restarted(watch).hold(4, east=50)
    assert again.texts == ["the clock went back; what was learned is dropped"]
    assert len(again.forecasts.series["east", ""].forecaster.past) <= 2
    watch.utc += 4 * 3600 - 10
    assert restarted(watch).hold(4, east=50).texts == []


@pytest.mark.parametrize(
    "state",
    [{}, {"version": 99}, {"version": 1, "kind": "damped_drift", "leading": {}, "regions": {}}],
)
def test_what_was_never_saved_is_refused_and_changes_nothing(state):
    watch = Watch().hold(20, east=50)
    with pytest.raises(ValueError, match="no forecasts that were kept"):
        watch.forecasts.load(state)
    assert watch.forecasts.regions() == ["east"]


def test_a_region_that_follows_another_is_raised_while_that_one_rises(monkeypatch):
    watch = Watch(kind="persistence").hold(4, east=50, west=50)
    before = watch.ahead
    monkeypatch.setattr(Leading, "factor", lambda self, name, horizon_s: 1 + (name == "west"))
    after = watch.hold(2, east=50, west=50).ahead
    assert after.likely_bps == {"east": 50 * EACH_BPS, "west": 100 * EACH_BPS}
    assert after.upper_bps["west"] == before.upper_bps["west"] + 50 * EACH_BPS
    assert after.upper_bps["east"] == pytest.approx(before.upper_bps["east"], rel=0.01)
    assert list(after.quantiles_bps["west"]) == sorted(after.quantiles_bps["west"])


def test_regions_that_go_ahead_are_known_after_a_restart():
    watch = Watch(kind="persistence")
    for second in range(0, 1200, 5):
        crowd = 100.0 if second % 300 < 150 else 10.0
        late = 100.0 if (second - 60) % 300 < 150 else 10.0
        watch.look(demand(0, east=crowd, west=late), after_s=5.0)
    leader = watch.forecasts.told("west")["goes_after"]
    assert leader["region"] == "east" and leader["lag_s"] == 60.0 and leader["listened_to"]
    again = restarted(watch, kind="persistence").hold(4, east=10, west=10)
    assert again.forecasts.told("west")["goes_after"]["region"] == "east"
