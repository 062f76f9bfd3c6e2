"""The simulator finds the response that samples came from, and says how far off it is."""

import numpy as np
import pytest

from simulation.evaluate.placement import grid, response
from tests.support.placement_bench import COSTS, SETTINGS, TRUTH, measured, sample


def test_it_finds_what_samples_came_from() -> None:
    samples = measured(40)
    fitted, judged = grid.split(SETTINGS.grid, samples)
    found = response.fit(fitted)
    for name, cores in COSTS.items():
        assert found.costs[name] == pytest.approx(cores, rel=0.05)
    fitness = response.judge(found, judged, samples)
    assert fitness.passes()
    assert fitness.samples == len(judged) > 0


def test_one_that_is_off_does_not_pass() -> None:
    samples = measured(10)
    wrong = response.Response(
        {name: 2 * cores for name, cores in COSTS.items()},
        TRUTH.factors, 0.99, 30.0, 0.99, 30.0, np.ones(1), np.ones((1, 2)),
    )  # fmt: skip
    assert not response.judge(wrong, samples, samples).passes()


def test_more_load_is_never_faster() -> None:
    means = [TRUTH.mean(0.5, ["240p"] * count) for count in range(1, 20)]
    assert [speed for speed, _ in means] == sorted((speed for speed, _ in means), reverse=True)
    assert [cores for _, cores in means] == sorted(cores for _, cores in means)
    assert means[-1][1] <= 0.5


def test_noise_is_that_of_samples_with_a_like_load() -> None:
    quiet = [sample(0.5, ["144p"], 1.0) for _ in range(30)]
    loud = [sample(0.5, ["480p"] * 4, speed) for speed in np.linspace(0.5, 1.0, 30)]
    found = response.fit(quiet + loud)
    random = np.random.default_rng(1)
    few = [found.drawn(0.5, ["144p"], random)[0] for _ in range(50)]
    many = [found.drawn(0.5, ["480p"] * 4, random)[0] for _ in range(50)]
    assert np.std(few) < 0.01 < np.std(many)
    assert found.sure(0.5, ["480p"] * 4, 0.9)[0] < 0.8 * found.mean(0.5, ["480p"] * 4)[0]
    assert found.sure(0.5, ["144p"], 0.9)[0] > 0.98


def test_an_idle_worker_uses_nothing() -> None:
    assert TRUTH.mean(0.5, []) == (1.0, 0.0)
