"""What a series was: on a grid, by minutes, and what was said of it until it comes."""

import json

import numpy as np
import pytest

from traffic_manager.forecasting.days import DAY_S
from traffic_manager.forecasting.notes import Notes, steps_of
from traffic_manager.forecasting.past import Past


def past_of(samples, step_s: float = 1.0, **given) -> Past:
    past = Past(step_s, **given)
    for at_s, value in samples:
        past.add(at_s, value)
    return past


def test_short_silences_are_bridged_by_a_line_and_longer_ones_begin_anew():
    past = past_of([(0.0, 10.0), (1.0, 10.0), (5.0, 50.0)])
    assert past.recent(10).tolist() == pytest.approx([10, 10, 20, 30, 40, 50])
    assert past.gap_before(11.0) and not past.gap_before(10.0)
    past.add(25.0, 7.0)
    assert past.recent(10).tolist() == [7.0] and past.step == pytest.approx(25, abs=1)


def test_samples_that_come_too_often_replace_one_another():
    past = past_of([(0.0, 1.0), (0.2, 2.0), (0.4, 3.0), (1.0, 4.0)])
    assert past.recent(10).tolist() == [3.0, 4.0]


def test_the_grid_follows_a_clock_that_is_a_little_slow():
    past = past_of([(second * 1.03, float(second)) for second in range(500)])
    assert len(past) == pytest.approx(500, abs=20)


def test_the_ring_keeps_the_latest():
    past = past_of([(float(s), float(s)) for s in range(50)], kept_steps=8)
    assert past.recent(100).tolist() == [float(s) for s in range(42, 50)] and len(past) == 8


def test_growth_is_that_of_yesterday_at_this_time_on_whatever_level():
    """Yesterday it doubled within ten minutes from noon on; today it is at a tenth."""
    minutes = np.arange(0, 1440 + 720 + 1)
    level = np.where(minutes < 1440, 1000.0, 100.0)
    level[720:730] *= np.linspace(1, 2, 10)
    level[730:1440] *= 2
    past = past_of(
        [(m * 60.0, v) for m, v in zip(minutes, level, strict=True)],
        60.0,
        horizons_s=(600.0, 1200.0),
    )
    yesterday = past.growths[:, 0]
    assert yesterday == pytest.approx([np.log(2), np.log(2)], abs=0.1)
    assert past.growths[:, 3].tolist() == [0.0, 0.0]


def test_a_day_that_was_not_seen_says_nothing():
    past = past_of([(m * 60.0, 5.0) for m in range(30)], 60.0)
    past.add(DAY_S, 5.0)
    past.add(DAY_S + 60, 50.0)
    assert past.growths.tolist() == [[0.0] * 4]


def test_saved_and_loaded_it_is_the_same():
    past = past_of([(float(s), float(s % 7)) for s in range(200)])
    again = Past(1.0)
    again.load(json.loads(json.dumps(past.save())))
    past.add(200.0, 3.0)
    again.add(200.0, 3.0)
    assert again.save() == past.save()


def test_notes_come_back_when_their_time_has_come():
    notes, past = Notes(steps_of((2.0, 5.0), 1.0), 1), Past(1.0)
    came = []
    for second in range(12):
        past.add(float(second), float(second))
        for due in notes.due(past):
            rows = zip(due.places, due.rows, strict=True)
            came += [(int(place), row[0], due.came) for place, row in rows]
        notes.put(past.step, np.full((2, 1), float(second)))
    assert {after - made for place, made, after in came if place == 0} == {2.0}
    assert {after - made for place, made, after in came if place == 1} == {5.0}
    assert len(came) == 10 + 7


def test_a_note_whose_time_fell_into_a_gap_never_comes():
    notes, past = Notes([3], 1), past_of([(0.0, 1.0)])
    notes.put(past.step, np.ones((1, 1)))
    for at_s in (50.0, 51.0, 52.0, 53.0):
        past.add(at_s, 1.0)
        assert list(notes.due(past)) == []


def test_far_horizons_take_few_notes():
    notes = Notes([900], 1)
    assert sum(notes.wanted(step) for step in range(900)) <= 32
