"""Low-latency parts are placed one after another, whatever runs and slates come and go."""

from fractions import Fraction
from itertools import pairwise

import pytest

from segmenter.low_latency_timeline import LowLatencyMemory, LowLatencyTimeline, PartPlace
from segmenter.part_grid import PartGrid

GRID = PartGrid(Fraction(25), segment_frames=50, part_frames=5)
PART_S, PARTS, TICKS = 0.2, 10, 5000
UTC = 1_800_000_000.0


class Channel:
    """A timeline with its clock: `run` delivers parts in real time, `slate` when they are due."""

    def __init__(self, memory: LowLatencyMemory | None = None) -> None:
        self.now, self.utc = 100.0, UTC
        self.timeline = LowLatencyTimeline(GRID, memory or LowLatencyMemory(), now=self.now)
        self.places: list[PartPlace] = []

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.utc += seconds

    def part(self, run: int, number: int) -> PartPlace | None:
        """The `number`-th part of a run that began at its tick 534 is there now."""
        place = self.timeline.place(
            run, 534 + number * TICKS, number % PARTS, now=self.now, utc=self.utc
        )
        if place is not None:
            self.places.append(place)
        return place

    def run(self, run: int, numbers: range) -> None:
        for number in numbers:
            self.wait(PART_S)
            self.part(run, number)

    def slates(self, seconds: float) -> int:
        """Slates that became due within the next seconds, while nothing is heard."""
        end, count = self.now + seconds, len(self.places)
        while (due := self.timeline.slate_due_at(None)) <= end:
            self.wait(max(0.0, due - self.now))
            self.places.append(self.timeline.place_slate(now=self.now, utc=self.utc))
            assert len(self.places) < count + 10_000, "slates are paced"
        self.wait(end - self.now)
        return len(self.places) - count

    def check(self, *, refused: bool = False) -> None:
        """What holds whatever happens (R2, R4, R9, R20, R43); a `refused` part had its name."""
        for before, after in pairwise(self.places):
            if after.index:
                assert (after.msn, after.epoch) == (before.msn, before.epoch)
                assert after.index == before.index + 1
                assert not after.discontinuity
            else:
                assert after.msn == before.msn + 1
                if before.last and not refused:
                    assert after.epoch == before.epoch, "what was hinted comes (R43)"
            assert after.start_ticks == before.start_ticks + TICKS, "media time goes on"
            assert after.start_utc >= before.start_utc + PART_S - 1e-6, "dates never go back"
            assert after.discontinuity == (after.section != before.section)


def test_parts_of_one_run_follow_one_another() -> None:
    channel = Channel()
    channel.run(1, range(25))
    channel.check()
    places = channel.places
    assert [(p.msn, p.index) for p in places] == [(n // 10, n % 10) for n in range(25)]
    assert [n for n, place in enumerate(places) if place.last] == [9, 19]
    assert not places[0].discontinuity, "nothing is discontinued before the first segment"
    assert places[0].start_utc == pytest.approx(UTC), "its first frame was taken one part ago"
    assert places[0].start_ticks == 10 * GRID.video_hz


def test_an_encoder_that_dies_ends_its_segment_short() -> None:
    channel = Channel()
    channel.run(1, range(13))
    channel.run(2, range(5))
    channel.check()
    assert (channel.places[13].msn, channel.places[13].index) == (2, 0)
    assert channel.places[13].discontinuity


def test_a_run_that_is_joined_within_a_segment_waits_for_its_next() -> None:
    channel = Channel()
    channel.run(1, range(4, 15))
    assert [(p.msn, p.index) for p in channel.places] == [(n // 10, n % 10) for n in range(5)]


def test_a_jump_within_a_run_is_a_discontinuity() -> None:
    channel = Channel()
    channel.run(1, range(5))
    channel.run(1, range(20, 25))
    channel.check()
    assert channel.places[5].discontinuity


def test_slates_make_up_for_the_silence_then_keep_the_pace() -> None:
    """Else viewers, who are about a second behind, would stall."""
    channel = Channel()
    channel.run(1, range(13))
    assert channel.slates(0.39) == 0, "the next part may just be on its way"
    assert channel.slates(0.02) == 2
    assert channel.slates(0.6) == 3
    assert channel.places[-1].start_utc + PART_S <= channel.utc + 1e-6
    assert channel.slates(2.0) == 10
    channel.check()
    slates = channel.places[13:]
    assert [place.slate_index for place in slates] == list(range(15))
    assert (slates[0].msn, slates[0].index, slates[0].discontinuity) == (2, 0, True)


def test_a_source_that_returns_ends_the_slate_at_its_next_key_frame() -> None:
    channel = Channel()
    channel.run(1, range(13))
    channel.slates(1.5)
    for number in range(7, 10):
        channel.part(2, number)
        channel.slates(PART_S)
    assert channel.timeline.shows_slate, "what starts without a key frame cannot be shown"
    channel.part(2, 10)
    assert not channel.timeline.shows_slate
    assert channel.places[-1].discontinuity
    channel.run(2, range(11, 30))
    channel.check()
    assert channel.places[-1].slate_index is None


def test_an_encoder_that_is_heard_gets_more_time_but_not_for_ever() -> None:
    channel = Channel()
    channel.run(1, range(3))
    timeline, now = channel.timeline, channel.now
    assert timeline.slate_due_at(None) == pytest.approx(now + 0.4), "an encoder that died"
    assert timeline.slate_due_at(now) == pytest.approx(now + 1.0)
    assert timeline.slate_due_at(now + 0.9) == pytest.approx(now + 1.7)
    assert timeline.slate_due_at(now + 60) == pytest.approx(now + 3.0)


def test_a_new_channel_waits_longer_for_its_source() -> None:
    channel = Channel()
    assert channel.timeline.slate_due_at(None) == pytest.approx(channel.now + 3.0)


def test_dates_that_are_ahead_are_given_back_by_slates() -> None:
    """A source that comes back again and again must not push them further and further."""
    channel = Channel()
    for run in range(1, 40):
        channel.part(run, 0)
        channel.wait(0.001)
        channel.slates(1.05)
    channel.check()
    ahead_s = channel.places[-1].start_utc + PART_S - channel.utc
    assert ahead_s <= 2 * PART_S


def test_a_source_that_comes_in_bursts_is_not_filled_up_with_slates() -> None:
    """What was published lasts for a while; slates on top would push dates ever further ahead."""
    channel = Channel()
    for burst in range(30):
        for number in range(10):
            channel.part(1, 10 * burst + number)
        assert channel.slates(2.0) <= 1
    channel.check()
    assert channel.places[-1].start_utc - channel.utc <= 2.0 + PART_S


def test_a_clock_that_is_set_back_does_not_stop_anything() -> None:
    channel = Channel()
    channel.run(1, range(13))
    channel.utc -= 3600
    assert channel.slates(3.0) >= 9
    channel.run(2, range(13))
    channel.check()


def test_a_process_that_stood_still_does_not_catch_up() -> None:
    channel = Channel()
    channel.run(1, range(3))
    channel.slates(1.5)
    channel.wait(600)
    assert channel.slates(0.01) <= 12
    channel.check()


def test_what_runs_far_ahead_of_real_time_is_dropped() -> None:
    channel = Channel()
    placed = [channel.part(1, number) for number in range(1000)]
    kept = [place for place in placed if place is not None]
    assert len(kept) == pytest.approx(30 / PART_S, abs=2)
    channel.wait(600)
    assert channel.part(1, 1000) is not None
    channel.check()


def test_a_refused_part_ends_its_segment() -> None:
    channel = Channel()
    channel.run(1, range(13))
    refused = channel.places.pop()
    channel.timeline.withdraw()
    channel.run(1, range(13, 25))
    channel.check()
    following = channel.places[12]
    assert (following.msn, following.index, following.discontinuity) == (2, 0, True)
    assert following.epoch != refused.epoch, "no name is given to other bytes"


def test_a_segment_refused_from_its_start_gives_its_number_back() -> None:
    channel = Channel()
    channel.run(1, range(11))
    channel.places.pop()
    channel.timeline.withdraw()
    channel.run(1, range(11, 25))
    channel.check(refused=True)
    assert (channel.places[10].msn, channel.places[10].index) == (1, 0)


def test_after_a_restart_numbers_dates_and_media_time_go_on() -> None:
    before = Channel()
    before.run(1, range(25))
    newest = before.places[-1]
    memory = LowLatencyMemory(next_msn=newest.msn + 1, end_utc=newest.start_utc + PART_S)
    after = Channel(memory)
    after.run(1, range(1))
    place = after.places[0]
    assert place.msn == newest.msn + 1 and place.discontinuity
    assert place.start_utc >= newest.start_utc + PART_S
    assert place.start_ticks >= newest.start_ticks + TICKS


def test_the_date_goes_on_where_one_encoder_relieves_another() -> None:
    """Its start took half a second, which it makes up for at once: no date runs ahead (R20)."""
    channel = Channel()
    channel.run(1, range(20))
    ended = channel.places[-1].start_utc + PART_S
    channel.timeline.relieve(2)
    channel.wait(0.5)
    first = channel.part(2, 0)
    assert first is not None and first.discontinuity
    assert first.start_utc == pytest.approx(ended)
    for number in range(1, 4):
        channel.part(2, number)
    assert channel.places[-1].start_utc + PART_S <= channel.utc + 2 * PART_S
    channel.check()


def test_after_a_slate_the_date_is_that_of_the_clock_whoever_was_relieved() -> None:
    channel = Channel()
    channel.run(1, range(20))
    channel.timeline.relieve(2)
    channel.slates(6.0)
    channel.wait(0.9)
    first = channel.part(2, 0)
    assert first is not None
    assert first.start_utc == pytest.approx(
        max(channel.utc - PART_S, channel.places[-2].start_utc + PART_S)
    )
