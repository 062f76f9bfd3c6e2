"""Servers share max-min fairly: nobody gets more than he can take, and nobody is cut who takes less
than another one gets."""

import numpy as np
import pytest

from simulation.sharing import levels


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_max_min_fair(seed: int) -> None:
    dice = np.random.default_rng(seed)
    places = dice.integers(1, 5, 500).astype(np.int16)
    bps = dice.lognormal(1.0, 1.0, 500).astype(np.float32)
    capacity = np.array([0.0, 150.0, 1e6, 50.0, 0.0])
    askers = [(places[:200], bps[:200]), (places[200:], bps[200:])]
    wanted = np.bincount(places, weights=bps, minlength=5)
    heads = np.bincount(places, minlength=5).astype(float)
    level, sent = levels(askers, wanted, capacity, heads)
    given = np.minimum(bps, level[places])
    assert wanted[1] > capacity[1] > 0
    for place in (1, 2, 3, 4):
        here = given[places == place]
        assert here.sum() <= capacity[place] * (1 + 1e-5)
        assert here.sum() == pytest.approx(min(wanted[place], capacity[place]), rel=1e-3)
        assert sent[place] == pytest.approx(here.sum(), rel=1e-3)
    assert np.isinf(level[2])
