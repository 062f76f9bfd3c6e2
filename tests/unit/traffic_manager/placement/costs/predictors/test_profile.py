"""Curves over settings: what is learned of groups, and what a few probes say of the rest."""

import numpy as np
import pytest

from traffic_manager.placement.costs.predictors.base import Table
from traffic_manager.placement.costs.predictors.kinds import load_predictor
from traffic_manager.placement.costs.predictors.profile import Profile

SETTINGS = 12


def grid(groups: int = 40, seed: int = 3, noise: float = 0.02) -> Table:
    """Videos whose cost rises with size, and under dear settings with something hidden."""
    generator = np.random.default_rng(seed)
    size, hidden = generator.uniform(-1, 1, groups), generator.normal(0, 0.4, groups)
    setting = np.tile(np.arange(SETTINGS), groups)
    group = np.repeat(np.arange(groups), SETTINGS)
    slope = np.where(setting >= SETTINGS // 2, 1.0, -0.5)
    logs = size[group] + 0.2 * setting + hidden[group] * slope
    logs = logs + generator.normal(0, noise, len(logs))
    rows = np.stack([size[group], setting.astype(float)], axis=1)
    return Table(("size", "subme"), rows, np.exp(logs), group)


@pytest.fixture(scope="module")
def learned() -> Profile:
    profile = Profile(seed=1)
    profile.fit(grid())
    return profile


def video(number: int = 0) -> Table:
    table = grid(8, seed=9)
    return table.only(np.flatnonzero(table.groups == number))


def log_errors(profile: Profile, table: Table) -> np.ndarray:
    return np.log(table.values / profile.predict_all(table))


def test_a_probe_moves_settings_by_how_they_hang_together_not_all_alike(learned):
    """Here half of the settings go up where the other half goes down."""
    for number in range(8):
        table = video(number)
        errors = log_errors(learned, table)
        moved = learned.adjustment(table, np.array([SETTINGS - 1]), errors[-1:])
        assert np.abs(errors - moved).mean() < 0.15
        assert np.sign(moved[0]) == -np.sign(moved[-1])


def test_more_probes_are_never_much_worse(learned):
    left = []
    for probes in (0, 1, 3, 6):
        each = []
        for number in range(8):
            table = video(number)
            errors = log_errors(learned, table)
            shown = np.arange(probes) * 2
            each.append(np.abs(errors - learned.adjustment(table, shown, errors[shown])).mean())
        left.append(np.mean(each))
    assert left[1] < left[0] / 2 and left[3] <= left[1] * 1.05


def test_how_uncertain_it_is_was_measured_on_groups_held_out(learned):
    errors = np.concatenate([log_errors(learned, video(number)) for number in range(8)])
    assert 0.4 < (np.abs(errors) <= learned.sigma_log).mean() < 0.95
    assert learned.sigma_log > 0.1  # the noise alone is 0.02


def test_a_refit_takes_what_was_learned_as_probes_of_its_group():
    profile = Profile(seed=1)
    profile.fit(grid())
    table = video(2)
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    for place in (1, 7, 9):
        profile.learn(rows[place], float(table.values[place]))
    before = [profile.predict(row).value for row in rows]
    profile.refit()
    after = [profile.predict(row).value for row in rows]
    cold, known = (np.abs(np.log(table.values / found)).mean() for found in (before, after))
    assert known < min(0.1, cold)
    other = dict(zip(table.names, video(3).rows[0], strict=True))
    assert profile.predict(other) == load_predictor(profile.save()).predict(other)
    assert [load_predictor(profile.save()).predict(row).value for row in rows] == after
    assert profile.predict_all(table) == pytest.approx(after)


def test_a_setting_that_was_never_seen_is_taken_for_the_nearest(learned):
    known = learned.predict({"size": 0.2, "subme": 4.0})
    assert learned.predict({"size": 0.2, "subme": 4.2}).value == known.value


def test_holes_are_filled_and_groups_with_too_many_are_left_out():
    table = grid(noise=0.0)
    generator = np.random.default_rng(2)
    some = np.flatnonzero(generator.random(len(table)) < 0.85)
    profile = Profile(seed=1)
    profile.fit(table.only(some))
    assert np.abs(log_errors(profile, table)).mean() < 0.4
    sparse = Profile(seed=1)
    sparse.fit(table.only(np.flatnonzero(generator.random(len(table)) < 0.2)))
    assert np.abs(log_errors(sparse, table)).mean() < 0.6
