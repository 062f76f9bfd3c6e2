"""The controller that holds everybody's picture together, and the server's clock it goes by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.sync import DEAD_BAND_S, JUMP_S, ServerClock, sync_jump_s, sync_rate

OFFSET_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("late_s", "rate"),
    [(0.0, 1.0), (0.02, 1.0), (-0.02, 1.0), (0.1, 1.02), (-0.1, 0.98), (3.0, 1.1), (-9.0, 0.9)],
)
def test_the_rate(late_s: float, rate: float) -> None:
    assert sync_rate(8.0 + late_s, 8.0) == pytest.approx(rate)


@given(st.floats(-JUMP_S, JUMP_S))
def test_it_comes_within_the_dead_band_and_stays(late_s: float) -> None:
    for _ in range(240):
        late_s -= (sync_rate(8.0 + late_s, 8.0) - 1.0) * 0.25
    assert abs(late_s) <= DEAD_BAND_S + 0.001


def test_it_jumps_only_to_what_is_there() -> None:
    assert sync_jump_s(9.0, 8.0, 6.0) == 0.0
    assert sync_jump_s(12.0, 8.0, 6.0) == 4.0
    assert sync_jump_s(20.0, 8.0, 6.0) == 0.0


def test_this_machines_clock_is_believed_while_no_date_contradicts_it() -> None:
    clock = ServerClock()
    clock.guess(OFFSET_S + 0.3)
    clock.saw(OFFSET_S + 10.0, 10.2, 10.4)
    assert clock.utc(11.0) == OFFSET_S + 11.3


@given(
    st.floats(-3.0, 3.0),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 0.4)), min_size=1, max_size=60),
)
def test_the_true_offset_is_never_excluded(
    wrong_s: float, answers: list[tuple[float, float]]
) -> None:
    clock, offset_s = ServerClock(), OFFSET_S + wrong_s
    clock.guess(OFFSET_S)
    for at, took_s in answers:
        clock.saw(float(int(at + took_s / 2 + offset_s)), at, at + took_s)
    assert abs(clock.offset_s - offset_s) <= 1.0 + 0.8 + 1e-6


def test_many_answers_leave_a_narrow_range() -> None:
    """Of a server whose clock is 20 s ahead."""
    clock, offset_s = ServerClock(), OFFSET_S + 20.0
    clock.guess(OFFSET_S)
    for number in range(200):
        at = number * 1.037
        clock.saw(float(int(at + 0.005 + offset_s)), at, at + 0.01)
    assert clock.offset_s == pytest.approx(offset_s, abs=0.03)


def test_a_clock_that_was_set_is_learned_anew() -> None:
    clock = ServerClock()
    clock.guess(OFFSET_S)
    clock.saw(OFFSET_S + 10.0, 10.2, 10.4)
    clock.saw(OFFSET_S + 99.0, 12.2, 12.4)
    assert clock.utc(12.3) == pytest.approx(OFFSET_S + 99.5, abs=0.51)
