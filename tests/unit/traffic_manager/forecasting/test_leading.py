"""A region that follows another is expected to follow again, if that was worth it."""

import json
import math

import numpy as np
import pytest

from traffic_manager.forecasting.leading import JUDGED_AFTER_S, STEP_S, Leading

LAG = 6


def crowds(count: int, every: int = 60, height: float = 4.0) -> np.ndarray:
    """Levels at each step: an audience that rises, stays, and leaves, again and again."""
    one = [1 + height / (1 + math.exp(-(step - 12) * 0.8)) for step in range(every // 2)]
    return np.array((one + [1.0] * (every - every // 2)) * count)


def late(values: np.ndarray, steps: int) -> np.ndarray:
    return np.concatenate([np.full(steps, values[0]), values[:-steps]])


def errors(series: dict[str, np.ndarray], region: str, leading: Leading) -> tuple[float, float]:
    """Mean error of *it stays as it is* 30 s ahead, without and with the others."""
    steps, ahead = len(series[region]), round(JUDGED_AFTER_S / STEP_S)
    plain, raised = [], []
    for step in range(steps):
        now = {name: float(values[step]) for name, values in series.items()}
        leading.learn(step * STEP_S, now, now)
        if step + ahead < steps:
            came = series[region][step + ahead]
            plain.append(abs(now[region] - came))
            raised.append(abs(now[region] * leading.factor(region, JUDGED_AFTER_S) - came))
    return float(np.mean(plain)), float(np.mean(raised))


def test_one_that_follows_is_raised_before_it_rises():
    east = crowds(6)
    leading = Leading()
    plain, raised = errors({"east": east, "west": 0.5 * late(east, LAG)}, "west", leading)
    assert raised < 0.8 * plain
    told = leading.explain("west")
    assert told["region"] == "east" and told["listened_to"]
    assert told["lag_s"] == LAG * STEP_S


def test_the_one_that_goes_ahead_has_no_leader_that_helps():
    east = crowds(6)
    plain, raised = errors({"east": east, "west": late(east, LAG)}, "east", Leading())
    assert raised <= 1.03 * plain


@pytest.mark.parametrize("seed", range(4))
def test_regions_that_have_nothing_to_do_with_one_another_are_not_made_worse(seed):
    chance = np.random.default_rng(seed)
    walks = np.exp(np.cumsum(0.1 * chance.normal(size=(400, 4)), axis=0))
    series = {f"r{n}": walks[:, n] for n in range(4)}
    plain, raised = errors(series, "r0", Leading())
    assert raised <= 1.03 * plain


def test_one_that_no_longer_follows_is_soon_left_alone():
    east = crowds(10)
    west = late(east, LAG)
    west[300:] = west[300]
    leading = Leading()
    errors({"east": east[:300], "west": west[:300]}, "west", leading)
    raised = []
    for step in range(300, 600):
        now = {"east": float(east[step]), "west": float(west[step])}
        leading.learn(step * STEP_S, now, now)
        raised.append(leading.factor("west", JUDGED_AFTER_S) > 1)
    assert not any(raised[120:])


def test_nothing_is_expected_of_a_region_alone_or_one_not_known():
    leading = Leading()
    errors({"east": crowds(3)}, "east", leading)
    assert leading.factor("east", 30.0) == leading.factor("west", 30.0) == 1.0
    assert leading.explain("east") == leading.explain("west") == {}


def test_it_is_bounded_in_regions_and_in_what_it_expects():
    east = crowds(6, height=500.0)
    leading = Leading()
    errors({"east": east, "west": late(east, LAG)}, "west", leading)
    assert leading.factor("west", 1e6) <= 3.0
    for step in range(200):
        levels = {f"r{n}": 1.0 + n for n in range(40)}
        leading.learn(1e6 + step * STEP_S, levels, levels)
    assert len(leading._names) == 16 and len(leading._logs) <= 40
    assert all(len(waiting) <= 4 for waiting in leading._promised.values())


def test_regions_that_come_and_go_keep_what_is_known_of_the_others():
    east = crowds(6)
    leading = Leading()
    errors({"east": east, "west": late(east, LAG), "north": east}, "west", leading)
    now = {"east": 1.0, "south": 9.0, "west": 1.0}
    leading.learn(len(east) * STEP_S, now, now)
    assert leading.explain("west")["region"] == "east"
    assert leading.explain("south") == {}


def test_a_silence_is_no_growth():
    leading = Leading()
    for at_s, level in ((0.0, 1.0), (10.0, 1.0), (500.0, 9.0), (510.0, 9.0)):
        leading.learn(at_s, {"east": level, "west": level}, {})
    assert len(leading._logs) == 2
    assert not leading._both.any()


def test_what_was_saved_is_known_again_and_nothing_else():
    east = crowds(6)
    leading, again = Leading(), Leading()
    errors({"east": east, "west": late(east, LAG)}, "west", leading)
    state = json.loads(json.dumps(leading.save()))
    again.load(state)
    assert again.explain("west") == leading.explain("west")
    with pytest.raises(ValueError, match="shape"):
        again.load(state | {"both": [[0.0]]})
    assert again.explain("west") == leading.explain("west")
