"""Gentle catch-up: the speed stays within 5 %, and near the wanted distance it is 1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player import pace

PART_S = 0.25


@pytest.mark.parametrize(
    ("distance_s", "rate"),
    [
        (0.75, 1.0),
        (0.87, 1.0),
        (0.63, 1.0),
        (1.0, 1.05),
        (0.55, 0.95),
        (0.6, 0.95),
        (0.0, 0.95),
        (9.0, 1.05),
    ],
)
def test_faster_when_behind_slower_when_close(distance_s: float, rate: float) -> None:
    found = pace.rate(distance_s, 0.75, PART_S)
    assert found == pytest.approx(rate, abs=0.03) and (found > 1) == (rate > 1)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.01, 10))
def test_never_so_fast_that_it_is_heard(distance_s: float, wanted_s: float, part_s: float) -> None:
    assert 0.95 <= pace.rate(distance_s, wanted_s, part_s) <= 1.05


def test_each_stall_asks_for_a_part_more_up_to_a_bound() -> None:
    distances = [pace.wanted_distance_s(0.75, PART_S, stalls) for stalls in (0, 1, 4, 1000)]
    assert distances == [0.75, 1.0, 1.75, 0.75 + pace.STALL_PARTS_MAX * PART_S]


def test_far_behind_it_jumps_to_where_it_should_be() -> None:
    assert pace.jump_s(0.75 + pace.JUMP_S, 0.75) == 0.0
    assert pace.jump_s(10.75, 0.75) == 10.0
