"""Recorded networks as means over steps: what a link carries in a step is what it carried."""

import numpy as np
import pytest

from player.swarm.links import Link
from simulation.access import bank, steady

LINK = Link(((0.0, 8e6), (1.0, 2e6), (5.0, 4e6), (6.0, 1e6)))


def test_a_step_has_the_mean_of_what_the_link_carries_in_it() -> None:
    made = bank([LINK, Link(((0.0, 3e6),))], 2.0)
    assert made.bps.tolist() == pytest.approx([5e6, 2e6, 3e6, 3e6], rel=1e-6)
    assert made.first.tolist() == [0, 3, 4]


def test_a_viewer_goes_through_his_link_and_round_it_and_through_no_other() -> None:
    made = bank([LINK, Link(((0.0, 3e6),))], 2.0)
    place = np.array([0, 3])
    seen = []
    for _ in range(4):
        seen.append(made.bps[place].tolist())
        place = made.following[place]
    assert [first for first, _ in seen] == pytest.approx([5e6, 2e6, 3e6, 5e6])
    assert [second for _, second in seen] == [3e6] * 4


def test_places_are_drawn_from_all_links_alike() -> None:
    made = bank([LINK, Link(((0.0, 3e6),))], 2.0)
    drawn = made.draw(4000, np.random.default_rng(1))
    shares = np.bincount(drawn, minlength=4) / 4000
    assert shares.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2], abs=0.03)
    assert steady(7.0).draw(3, np.random.default_rng(1)).tolist() == [0, 0, 0]
