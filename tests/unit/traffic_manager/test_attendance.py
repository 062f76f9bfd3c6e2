"""How many come of those announced: the guess first, then what is measured."""

from datetime import UTC, datetime

import pytest

from traffic_manager.attendance import Attendance
from traffic_manager.calendar import Calendar, CalendarSettings, EventSettings
from traffic_manager.demand import Demand, Load

START = 1.8e9
WHOLE_S = 300.0
"""From the start until all are there."""


def event(number: int = 0, **changes) -> EventSettings:
    start = datetime.fromtimestamp(START + number * 10_000, UTC)
    values = {"name": f"match-{number}", "channel": "sport", "start": start, "duration_s": 3600}
    values |= {"audience": 1000, "shares": {"east": 1.0}, "early_s": 120, "ramp_s": 420}
    return EventSettings(**(values | changes))


def here(**viewers: float) -> Demand:
    cells = {(region, "sport"): Load(int(n), 0.0, 0.0, 0.0) for region, n in viewers.items()}
    return Demand(0.0, cells)


def expected(attendance: Attendance, calendar: Calendar, utc: float) -> float:
    (found,) = attendance.corrected(calendar.expected(utc, 10.0), calendar)
    return found.viewers


def attended(share: float, *events: EventSettings, until_s: float) -> tuple[Attendance, Calendar]:
    """So many of those announced come to each of these; looked at until so long after the last
    start."""
    attendance, calendar = Attendance(), Calendar(CalendarSettings(events=events))
    for one in events:
        start = one.start.timestamp()
        last_s = until_s if one is events[-1] else 4000.0
        for after in range(-150, int(last_s), 10):
            attendance.look(calendar, here(east=share * one.viewers(start + after)), start + after)
    return attendance, calendar


def test_before_its_start_an_event_is_what_was_announced_though_nobody_is_there():
    attendance, calendar = Attendance(), Calendar(CalendarSettings(events=(event(),)))
    for before in range(-200, -10, 10):
        attendance.look(calendar, here(), START + before)
    utc = START - 10
    assert expected(attendance, calendar, utc) == calendar.expected(utc, 10.0)[0].viewers > 250


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0, 2.0])
def test_when_all_should_be_there_what_is_measured_decides(share):
    attendance, calendar = attended(share, event(), until_s=WHOLE_S + 60)
    assert expected(attendance, calendar, START + WHOLE_S + 60) == pytest.approx(
        1000 * share, rel=0.05
    )


def test_on_the_way_there_what_is_measured_counts_more_and_more():
    found = []
    for until_s in (20, 100, 200, 300):
        attendance, _ = attended(0.25, event(), until_s=until_s)
        found.append(attendance.share(event(), "east"))
    assert found == sorted(found, reverse=True) and found[0] > 0.9 and found[-1] < 0.3


def test_later_events_are_expected_as_earlier_ones_came_true():
    overrated = attended(0.5, event(0), event(1), event(2), event(3), until_s=-100)[0]
    assert overrated.usual == pytest.approx(0.5 ** (3 / 4), rel=0.05)
    one = attended(0.5, event(0), event(1), until_s=-100)[0]
    assert overrated.usual < one.usual < 1
    assert overrated.share(event(3), "east") == overrated.usual


def test_an_event_that_is_over_teaches_once_and_memory_is_bounded():
    attendance, _ = attended(0.5, *(event(number) for number in range(30)), until_s=4000)
    assert len(attendance._earlier) == 20 and not attendance._most and not attendance._shares


def test_regions_are_corrected_each_for_itself():
    one = event(shares={"east": 0.5, "west": 0.5})
    attendance, calendar = Attendance(), Calendar(CalendarSettings(events=(one,)))
    utc = START + WHOLE_S + 60
    attendance.look(calendar, here(east=500, west=100), utc)
    assert attendance.told(one) == {"east": 1.0, "west": 0.2}


def test_two_events_on_one_channel_share_the_blame():
    both = (event(0), event(1, start=event(0).start, audience=3000))
    attendance, calendar = Attendance(), Calendar(CalendarSettings(events=both))
    utc = START + WHOLE_S + 60
    attendance.look(calendar, here(east=2000), utc)
    assert expected(attendance, calendar, utc) == pytest.approx(2000)
