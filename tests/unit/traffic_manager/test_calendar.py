"""Events known ahead: what is to come within a horizon, and what contradicts itself."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgecast.config import Settings, loads
from surgecast.errors import ConfigError
from traffic_manager.calendar import Calendar, CalendarSettings, EventSettings
from traffic_manager.joining.regions import RegionSettings

FINAL = """
name: final
channel: sport
start: 2027-05-29T20:00:00Z
duration_s: 2h
audience: 10000
shares: {a: 0.25, b: 0.75}
early_s: 2m
ramp_s: 10m
leave_s: 5m
"""
START = datetime.fromisoformat("2027-05-29T20:00:00+00:00").timestamp()
END = START + 7200


def event(**changes: object) -> EventSettings:
    return loads(FINAL, EventSettings).model_copy(update=changes)


def calendar(*events: EventSettings) -> Calendar:
    return Calendar(CalendarSettings(events=events))


def by_region(found: Calendar, now_utc: float, horizon_s: float) -> dict[str, int]:
    return {e.region: round(e.viewers) for e in found.expected(now_utc, horizon_s)}


@pytest.mark.parametrize(
    ("at_s", "viewers"),
    [
        *((-121, 0), (-120, 0), (0, 2000), (180, 5000), (480, 10_000)),
        *((7200, 10_000), (7350, 5000), (7500, 0), (9000, 0)),
    ],
)
def test_the_audience_comes_holds_and_leaves(at_s: float, viewers: int) -> None:
    assert event().viewers(START + at_s) == viewers


def test_the_most_within_the_horizon_is_expected() -> None:
    found = calendar(event())
    assert by_region(found, START - 1000, 600) == {}
    assert by_region(found, START - 120, 300) == {"a": 1250, "b": 3750}, "still rising"
    assert by_region(found, START - 120, 3600) == {"a": 2500, "b": 7500}
    assert by_region(found, END - 60, 3600) == {"a": 2500, "b": 7500}, "they are there now"
    assert by_region(found, END + 150, 3600) == {"a": 1250, "b": 3750}, "half have left"
    assert by_region(found, END + 300, 3600) == {}


def test_events_of_a_channel_add_up_where_they_meet() -> None:
    other = event(name="after", shares={"b": 1.0}, start=event().start.replace(hour=22))
    found = calendar(event(), other)
    (_, both) = found.expected(END, 120.0)
    assert both.events == ("final", "after")
    assert both.viewers == pytest.approx(7500 + 10_000 * 120 / 600)


def test_channels_are_kept_apart() -> None:
    found = calendar(event(), event(name="film", channel="film"))
    assert [(e.region, e.channel) for e in found.expected(START, 60)] == [
        *(("a", "film"), ("a", "sport")),
        *(("b", "film"), ("b", "sport")),
    ]


@given(st.floats(-2000, 9000), st.floats(0, 4000))
def test_no_moment_within_the_horizon_has_more(at_s: float, horizon_s: float) -> None:
    found = calendar(event(), event(name="two", start=event().start.replace(minute=7)))
    now_utc = START + at_s
    most = sum(e.viewers for e in found.expected(now_utc, horizon_s))
    for step in range(51):
        utc = now_utc + horizon_s * step / 50
        assert sum(e.viewers(utc) for e in found.settings.events) <= most + 1e-6


def test_the_api_tells_each_event_with_its_phase() -> None:
    over = event(name="old", start=event().start.replace(year=2026))
    found = calendar(over, event())
    final, old = found.shown(START, 600.0)
    assert (final["name"], final["phase"], final["viewers_expected_now"]) == (
        *("final", "coming"),
        2000,
    )
    assert (old["name"], old["phase"]) == ("old", "over")
    phases = [event().phase(START + at_s, 600.0) for at_s in (-9000, -700, 500, 7300, 7500)]
    assert phases == ["ahead", "coming", "on", "leaving", "over"]


BAD = {
    "shares of final make 0.75; expected 1": ("a: 0.25, b: 0.75", "a: 0.25, b: 0.5"),
    "shares": ("{a: 0.25, b: 0.75}", "{}"),
    "less than or equal to 1": ("a: 0.25, b: 0.75", "a: 2"),
    "should have timezone info": ("20:00:00Z", "20:00:00"),
    "it would end before all are there": ("ramp_s: 10m", "ramp_s: 3h"),
    "greater than or equal to 1": ("audience: 10000", "audience: 0"),
    "expected seconds": ("duration_s: 2h", "duration_s: two hours"),
    "start": ("2027-05-29T20:00:00Z", "tomorrow"),
}


@pytest.mark.parametrize("message", BAD)
def test_contradictions_are_refused_when_they_are_loaded(message: str) -> None:
    old, new = BAD[message]
    assert old in FINAL
    with pytest.raises(ConfigError) as caught:
        loads(FINAL.replace(old, new), EventSettings)
    assert message in str(caught.value)


def test_two_events_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two events are called final"):
        calendar(event(), event(channel="film"))


def test_regions_that_do_not_exist_are_found() -> None:
    settings = calendar(event(), event(name="two", shares={"c": 1.0})).settings
    assert settings.unknown_regions(["a"]) == ["b", "c"]


class Holder(Settings):
    """Where these stand in the manager's file."""

    regions: RegionSettings = RegionSettings()
    calendar: CalendarSettings = CalendarSettings()


def test_the_examples_of_the_page_load() -> None:
    page = Path(__file__).parents[3] / "docs" / "join.md"
    blocks = re.findall(r"```yml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        found = loads(block, Holder)
        assert not found.calendar.unknown_regions(["a", "b"])
