"""The playback model: startup, stalls to the exact moment, playhead, end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.buffer import Buffered, PlaybackBuffer, Stall, State

TWO_S = Buffered(2.0)


def test_starts_at_the_threshold() -> None:
    buffer = PlaybackBuffer(now=100.0, threshold_s=3.0)
    buffer.append(TWO_S, 101.0)
    assert (buffer.state, buffer.startup_s) == (State.WAITING, None)
    buffer.append(TWO_S, 102.5)
    assert (buffer.state, buffer.startup_s) == (State.PLAYING, 2.5)
    assert buffer.stalls == []


def test_a_stall_begins_when_media_runs_out_not_when_it_is_noticed() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=1.0)
    buffer.append(TWO_S, 1.0)
    buffer.advance(10.0)
    assert buffer.state is State.STALLED
    assert buffer.stalls == [Stall(3.0)]
    assert (buffer.played_s, buffer.stall_s()) == (2.0, 7.0)
    buffer.append(TWO_S, 11.0)
    assert buffer.stalls == [Stall(3.0, 11.0)]
    assert buffer.state is State.PLAYING


def test_media_in_time_prevents_the_stall() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=1.0)
    for second in range(0, 20, 2):
        buffer.append(TWO_S, float(second))
        buffer.append(TWO_S, second + 1.5) if second == 0 else None
    assert buffer.stalls == []
    assert buffer.played_s == pytest.approx(18.0)


def test_waits_for_the_threshold_again_after_a_stall() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=3.0)
    buffer.append(TWO_S, 0.0)
    buffer.append(TWO_S, 0.0)
    buffer.append(TWO_S, 5.0)
    assert buffer.state is State.STALLED
    buffer.append(TWO_S, 6.0)
    assert buffer.stalls == [Stall(4.0, 6.0)]


def test_the_playhead_in_wall_clock_time() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=1.0)
    assert buffer.playhead_utc is None
    buffer.append(Buffered(2.0, 1000.0, "low"), 0.0)
    buffer.append(Buffered(2.0, 1002.0, "top"), 0.0)
    buffer.advance(1.5)
    assert (buffer.playhead_utc, buffer.rung) == (1001.5, "low")
    buffer.advance(3.0)
    assert (buffer.playhead_utc, buffer.rung) == (1003.0, "top")


def test_playing_out_after_the_last_segment_is_no_stall() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=5.0)
    buffer.append(TWO_S, 0.0)
    buffer.finish(1.0)
    assert buffer.state is State.PLAYING
    buffer.advance(4.0)
    assert (buffer.state, buffer.stalls, buffer.played_s) == (State.ENDED, [], 2.0)


def test_time_does_not_go_back() -> None:
    buffer = PlaybackBuffer(5.0, threshold_s=1.0)
    with pytest.raises(ValueError, match="went back"):
        buffer.advance(4.0)


steps = st.lists(
    st.tuples(st.floats(0, 5, allow_nan=False), st.floats(0.1, 6) | st.none()), max_size=40
)


@given(steps, st.floats(0.1, 6))
def test_every_second_is_startup_play_or_stall(
    moves: list[tuple[float, float | None]], threshold_s: float
) -> None:
    """Nothing is lost or counted twice, and looking more often changes nothing."""
    often, seldom, now = PlaybackBuffer(0.0, threshold_s), PlaybackBuffer(0.0, threshold_s), 0.0
    for step_s, media_s in moves:
        often.advance(now + step_s / 2)
        now += step_s
        often.advance(now)
        if media_s is not None:
            often.append(Buffered(media_s), now)
            seldom.append(Buffered(media_s), now)
    seldom.advance(now)
    waited_s = now if often.startup_s is None else often.startup_s
    assert waited_s + often.played_s + often.stall_s() == pytest.approx(now, abs=1e-6)
    assert often.played_s == pytest.approx(seldom.played_s, abs=1e-6)
    assert often.stall_s() == pytest.approx(seldom.stall_s(), abs=1e-6)


def test_a_rate_plays_more_or_less_media_in_the_same_time() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=1.0)
    buffer.append(Buffered(10.0, start_utc=1000.0), 0.0)
    buffer.set_rate(1.05, 1.0)
    buffer.advance(3.0)
    assert buffer.playhead_utc == pytest.approx(1000.0 + 1.0 + 2.1)
    buffer.set_rate(0.95, 3.0)
    buffer.advance(20.0)
    assert buffer.stalls == [Stall(pytest.approx(3.0 + 6.9 / 0.95))]
    with pytest.raises(ValueError, match=r"0\.9 to 1\.1"):
        buffer.set_rate(1.2, 20.0)


def test_what_is_skipped_was_not_played() -> None:
    buffer = PlaybackBuffer(0.0, threshold_s=1.0)
    buffer.append(Buffered(4.0, start_utc=1000.0), 0.0)
    buffer.append(Buffered(4.0, start_utc=1004.0), 0.0)
    assert buffer.skip(5.0, 1.0) == 5.0
    assert (buffer.played_s, buffer.buffered_s) == (pytest.approx(1.0), pytest.approx(2.0))
    assert buffer.playhead_utc == pytest.approx(1006.0)
    assert buffer.skip(5.0, 1.0) == pytest.approx(2.0)
    assert buffer.state is State.STALLED
