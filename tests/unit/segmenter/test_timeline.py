"""The timeline: MSNs without a gap, dates that never go back, a slate when nothing else is."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmenter.timeline import BASE_TICKS, Memory, Place, Timeline
from segmenter.ts import TICKS_WRAP

TICKS = 180_000
UTC = 1_800_000_000.0


def timeline(memory: Memory | None = None, now: float = 0.0, **options: float) -> Timeline:
    return Timeline(Fraction(TICKS), memory or Memory(), now=now, **options)


def place(line: Timeline, run: int, start: int, now: float) -> Place:
    found = line.place(run, start, now=now, utc=UTC + now)
    assert found is not None
    return found


def test_a_run_is_placed_without_seam() -> None:
    line = timeline()
    places = [place(line, 1, 777 + n * TICKS, 2.0 * n + 2) for n in range(4)]
    assert [p.msn for p in places] == [0, 1, 2, 3]
    assert [p.start_ticks for p in places] == [BASE_TICKS + n * TICKS for n in range(4)]
    assert [p.discontinuity for p in places] == [False] * 4, "nothing came before the first"
    assert len({p.epoch for p in places}) == 1
    assert [p.start_utc - UTC for p in places] == [0.0, 2.0, 4.0, 6.0]


def test_another_run_is_a_discontinuity_with_names_of_its_own() -> None:
    line = timeline()
    first = place(line, 1, 0, 2.0)
    second = place(line, 2, 555, 4.5)
    assert (second.msn, second.discontinuity) == (1, True)
    assert second.epoch != first.epoch
    assert second.start_ticks == first.start_ticks + TICKS, "media time goes on (R17)"


def test_a_jump_inside_a_run_is_a_discontinuity() -> None:
    line = timeline()
    place(line, 1, 0, 2.0)
    jumped = place(line, 1, 5 * TICKS, 4.0)
    assert (jumped.msn, jumped.discontinuity) == (1, True)


def test_times_wrap_and_go_on() -> None:
    msn = TICKS_WRAP // TICKS
    line = timeline(Memory(next_msn=msn, end_utc=UTC, last_epoch=1))
    first = place(line, 1, 100, 2.0)
    second = place(line, 1, 100 + TICKS, 4.0)
    assert second.start_ticks == (first.start_ticks + TICKS) % TICKS_WRAP
    assert not second.discontinuity


def test_a_restart_continues_msn_with_a_discontinuity() -> None:
    before = timeline()
    place(before, 1, 0, 2.0)
    after = timeline(before.memory, now=100.0)
    found = place(after, 1, 0, 102.0)
    assert (found.msn, found.discontinuity) == (1, True)


def test_epochs_never_repeat_even_if_the_clock_goes_back() -> None:
    line = timeline()
    first = line.place(1, 0, now=2, utc=UTC)
    second = line.place(2, 0, now=4, utc=UTC - 5000)
    assert first and second
    assert int(second.epoch, 36) > int(first.epoch, 36)
    assert second.start_utc == first.start_utc + 2.0, "a date never goes back (R20)"


def test_a_new_channel_waits_for_its_source_before_the_slate() -> None:
    assert timeline(now=10.0, slate_after_s=3.0).slate_due_at(None) == 13.0


# What the source does -> when the slate is due, after a segment published at 10.0.
@pytest.mark.parametrize(
    ("heard_at", "due"),
    [
        (None, 12.2),  # gone: a tenth of a segment after the next one was due
        (10.5, 12.2),  # silent for long: the same
        (12.1, 12.9),  # heard just now: not before it was silent for 0.8 s
        (50.0, 18.2),  # alive but never a segment: at most three more segments' time
    ],
)
def test_when_the_slate_is_due(heard_at: float | None, due: float) -> None:
    line = timeline()
    place(line, 1, 0, 10.0)
    assert line.slate_due_at(heard_at) == pytest.approx(due)


def test_slates_keep_the_pace_of_the_media_whatever_the_timer_does() -> None:
    line = timeline()
    place(line, 1, 0, 10.0)
    due, times = 12.2, []
    for late in (0.0, 0.3, 0.05, 0.4):
        assert line.slate_due_at(None) == pytest.approx(due)
        times.append(line.place_slate(now=due + late, utc=UTC + due + late))
        due += 2.0
    assert [p.msn for p in times] == [1, 2, 3, 4]
    assert [p.discontinuity for p in times] == [True, False, False, False]
    assert [p.slate_index for p in times] == [0, 1, 2, 3]


def test_slates_go_on_until_the_new_source_has_a_whole_segment() -> None:
    line = timeline()
    line.place_slate(now=3.0, utc=UTC)
    assert line.slate_due_at(4.99) == 5.0, "bytes alone are not a picture"


def test_after_a_long_sleep_there_is_no_burst_of_slates() -> None:
    line = timeline()
    line.place_slate(now=3.0, utc=UTC)
    line.place_slate(now=500.0, utc=UTC + 497)
    assert line.slate_due_at(None) == 502.0


def test_the_source_comes_back_after_a_slate() -> None:
    line = timeline()
    place(line, 1, 0, 2.0)
    line.place_slate(now=4.2, utc=UTC + 4.2)
    back = place(line, 1, 3 * TICKS, 5.0)
    assert (back.msn, back.discontinuity, back.slate) == (2, True, False)


def test_a_source_whose_clock_runs_away_cannot_flood_the_window() -> None:
    line = timeline(ahead_max_s=10.0)
    found = [line.place(1, n * TICKS, now=1.0, utc=UTC) for n in range(100)]
    assert sum(p is not None for p in found) == 6
    later = line.place(1, 200 * TICKS, now=60.0, utc=UTC + 59)
    assert later is not None
    assert later.msn == 6, "what was dropped leaves no hole in the MSNs"
    assert later.discontinuity


def test_a_place_that_was_not_used_is_given_out_again_under_another_name() -> None:
    line = timeline()
    first = place(line, 1, 0, 2.0)
    refused = place(line, 1, TICKS, 4.0)
    line.withdraw(refused)
    after = place(line, 1, 2 * TICKS, 6.0)
    assert (after.msn, after.start_ticks) == (refused.msn, refused.start_ticks)
    assert after.discontinuity and after.epoch not in (first.epoch, refused.epoch)
    assert after.start_utc >= refused.start_utc


def test_dates_that_ran_ahead_at_handovers_come_back_to_the_clock() -> None:
    """A source that returns just after a slate puts almost a segment too much on the timeline."""
    line = timeline()
    now, run, start = 2.0, 1, 0
    place(line, run, start, now)
    for run in range(2, 12):
        for _ in range(5):
            now = line.slate_due_at(None)
            line.place_slate(now=now, utc=UTC + now)
        now += 0.3
        place(line, run, 0, now)
        assert line.memory.end_utc is not None
        assert line.memory.end_utc - (UTC + now) < 2.0, "ahead by less than a segment"


def test_slates_that_give_back_time_stay_within_what_players_wait_for() -> None:
    line = timeline()
    line.place_slate(now=3.0, utc=UTC + 3)
    place(line, 1, 0, 3.1)
    due = line.slate_due_at(None)
    line.place_slate(now=due, utc=UTC + due)
    assert line.slate_due_at(None) - due == pytest.approx(2.6)


Event = tuple[str, float]
EVENTS = ["next", "jump", "run", "slate", "restart", "refused"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.floats(0, 9)),
        max_size=60,
    )
)
def test_whatever_happens_numbers_are_contiguous_and_dates_go_forward(events: list[Event]) -> None:
    now, run, start = 0.0, 1, 0
    line = timeline()
    places: list[Place] = []
    for what, wait in events:
        now += wait
        if what == "restart":
            line = timeline(line.memory, now=now)
            run += 1
            continue
        if what == "slate":
            places.append(line.place_slate(now=now, utc=UTC + now))
            continue
        run += what == "run"
        start += 5 * TICKS if what == "jump" else TICKS
        found = line.place(run, start, now=now, utc=UTC + now)
        if found is not None and what == "refused":
            line.withdraw(found)
        elif found is not None:
            places.append(found)
    assert [p.msn for p in places] == list(range(len(places)))
    for a, b in itertools.pairwise(places):
        assert b.start_utc >= a.start_utc + 2.0 - 1e-6
        assert (b.start_ticks - a.start_ticks) % TICKS_WRAP == TICKS
        assert b.discontinuity == (b.epoch != a.epoch)
        assert b.slate == a.slate or b.discontinuity
    names = [(p.epoch, p.msn) for p in places]
    assert len(set(names)) == len(names)
