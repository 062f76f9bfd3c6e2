"""The boosting expert: when it wants a fit, what it makes of one, what it refuses."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from traffic_manager.forecasting.base import Forecaster
from traffic_manager.forecasting.boosting import Boosting
from traffic_manager.forecasting.hedge import Hedge
from traffic_manager.forecasting.learned import Window
from traffic_manager.forecasting.past import Past
from traffic_manager.forecasting.persistence import Persistence

STEP_S = 600.0
DAY = 144
WINDOW = Window(rows_min=3 * DAY, rows_max=6 * DAY, before=DAY + 128)
HORIZONS_S = (1800.0,)


def evening(step: int) -> float:
    """The same crowd each day: nobody sees it coming who does not know the day before."""
    return 1000.0 + 2000.0 * (60 <= step % DAY < 90) + step % 7


def expert(horizons_s=HORIZONS_S, rounds: int = 40) -> Boosting:
    return Boosting(step_s=STEP_S, horizons_s=horizons_s, window=WINDOW, rounds=rounds)


def taught(steps: int, made: Boosting | None = None):
    made, past = made or expert(), Past(STEP_S)
    wanted = []
    for step in range(steps):
        past.add(step * STEP_S, evening(step))
        made.learn(past)
        if made.wanted_fit() is not None:
            wanted.append(step)
    return made, past, wanted


def test_it_wants_nothing_before_it_has_seen_enough():
    _, _, wanted = taught(3 * DAY + 5)
    assert wanted[0] == WINDOW.rows_min + 3 - 1


def test_before_a_fit_it_expects_what_is():
    made, past, _ = taught(100)
    assert made.expect(past).tolist() == [past.level]


def test_a_gap_is_no_row_to_learn_from():
    made, past = expert(), Past(STEP_S)
    past.add(0.0, 1.0)
    made.learn(past)
    past.add(STEP_S * (WINDOW.rows_min + 100), 1.0)
    made.learn(past)
    assert made.wanted_fit() is None


def test_a_crowd_that_comes_every_day_is_expected():
    made, past, _ = taught(5 * DAY + 58, expert(rounds=120))
    made.fitted(made.wanted_fit().run())
    assert past.level < 1010
    assert made.expect(past)[0] > 1800  # it is 3000 then
    for step in range(5 * DAY + 58, 5 * DAY + 89):
        past.add(step * STEP_S, evening(step))
        made.learn(past)
    assert past.level > 2990
    assert made.expect(past)[0] < 2000  # and now they leave


def test_a_fit_is_wanted_again_when_half_as_much_is_new_and_each_day_later():
    made, _past, _ = taught(3 * DAY + 5)
    made.fitted(replace(made.wanted_fit(), rounds=2).run())
    seen = 3 * DAY + 5
    assert made.wanted_fit() is None
    again, _, _ = taught(seen + min(DAY, seen // 2), made)
    assert again.wanted_fit() is not None


def test_a_job_goes_to_another_process_and_gives_the_same_there():
    job = taught(3 * DAY + 5)[0].wanted_fit()
    job = replace(job, rounds=3)
    there = pickle.loads(pickle.dumps(job)).run()
    assert json.dumps(there.state) == json.dumps(job.run().state)


def test_what_comes_later_than_its_row_teaches_nothing():
    """The target of a row lies within what was seen; a row without one is left out."""
    training = taught(3 * DAY + 5)[0].wanted_fit().training
    places = training.places()
    growth, there = training.growth(places, 3, 1.0)
    assert there.sum() == len(places) - 2  # the last place is no row; two more wait
    level = training.values[places[0]]
    assert growth[0] == pytest.approx((training.values[places[0] + 3] - level) / level)


def test_what_only_rows_without_a_target_know_is_not_known():
    """A week ago is known to the last rows alone, which teach nothing yet."""
    job = taught(7 * DAY + 4)[0].wanted_fit()
    assert replace(job, rounds=2).run().state["seen"] == 7 * DAY + 4


def test_models_of_other_horizons_and_other_experts_are_refused():
    made, _, _ = taught(3 * DAY + 5)
    found = replace(made.wanted_fit(), rounds=2).run()
    with pytest.raises(ValueError, match="slots ahead"):
        taught(9, expert((600.0,)))[0].fitted(found)
    with pytest.raises(ValueError, match="no expert boosting"):
        plain = Persistence(step_s=STEP_S, horizons_s=HORIZONS_S)
        mix = Hedge(step_s=STEP_S, horizons_s=HORIZONS_S, experts=[("persistence", plain)])
        mix.fitted(found)
    with pytest.raises(ValueError, match="wanted no fit"):
        Forecaster(Persistence(step_s=STEP_S, horizons_s=HORIZONS_S)).fitted(found)


def test_saved_with_its_model_it_says_the_same():
    made, past, _ = taught(3 * DAY + 5)
    made.fitted(replace(made.wanted_fit(), rounds=5).run())
    again = expert()
    again.load(json.loads(json.dumps(made.save())))
    for step in range(3 * DAY + 5, 3 * DAY + 50):
        past.add(step * STEP_S, evening(step))
        for one in (made, again):
            one.learn(past)
        assert np.array_equal(made.expect(past), again.expect(past))


def test_many_horizons_share_few_models():
    made = expert((600.0, 1200.0, 1800.0, 2400.0, 3000.0, 3600.0))
    job = taught(3 * DAY + 7, made)[0].wanted_fit()
    assert len(job.training.horizons) == 4 and job.training.horizons[-1] == 6
    made.fitted(replace(job, rounds=2).run())
    assert len(made.expect(Past(STEP_S))) == 6
