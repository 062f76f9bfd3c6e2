"""What the governor does with a budget, step by step."""

import itertools

import pytest

from surgecast.delivery.adaptation.allocation import Offer
from surgecast.delivery.adaptation.governor import Crowd, Governor
from surgecast.delivery.adaptation.utility import offers_of, rates_of
from surgecast.delivery.settings import EgressSettings
from tests.support.shows import RUNGS, segment_set

OFFERS = tuple(Offer(rate, worth) for rate, worth in ((4e6, 3.0), (2e6, 2.0), (1e6, 0.0)))
STEP_S = 2.0


class Server:
    """A governor whose viewers take what they are given, and others take `other_bps`."""

    def __init__(self, capacity_bps: int | None = 100_000_000) -> None:
        settings = EgressSettings(capacity_bps=capacity_bps, utilisation_target=1.0)
        self.governor = Governor(settings)
        self.have = [0, 0, 0]
        self.other_bps = 0.0
        self.now = 0.0
        self._sent_bytes = 0.0

    def step(self, best: int = 0, directed_bps: float | None = None) -> list[int]:
        """One segment; everybody may rise one rung, no higher than `best`."""
        self.governor.directed_bps = directed_bps
        crowds = [
            Crowd(OFFERS, held, max(best, held - 1), sessions)
            for held, sessions in enumerate(self.have)
        ]
        splits = self.governor.divide(self.now, int(self._sent_bytes), crowds)
        self.have = [sum(column) for column in zip(*splits, strict=True)]
        self._sent_bytes += STEP_S * (self.taken_bps + self.other_bps) / 8
        self.now += STEP_S
        return self.have

    @property
    def taken_bps(self) -> float:
        return sum(n * offer.rate_bps for n, offer in zip(self.have, OFFERS, strict=True))


def test_without_a_budget_everybody_has_what_they_may_have() -> None:
    server = Server(capacity_bps=None)
    server.have = [0, 1000, 0]
    assert server.step() == [1000, 0, 0] and server.governor.budget_bps is None
    assert server.governor.admit(OFFERS, 0) == 0


def test_down_at_once_and_no_further_than_to_have_the_margin_free_again() -> None:
    """A plan that fills the budget passes it every other segment: sizes vary."""
    server = Server()
    server.have = [60, 0, 0]
    server.step()
    assert 94e6 <= server.taken_bps <= 95e6
    server.have = [20, 9, 0]
    server.step()
    assert 94e6 <= server.taken_bps <= 95e6


def test_a_lower_directive_wins_and_the_own_setting_stands_when_it_ends() -> None:
    server = Server()
    server.have = [25, 0, 0]
    server.step(directed_bps=50e6)
    assert server.taken_bps <= 50e6
    assert server.governor.budget_bps == 50e6
    server.step(directed_bps=900e6)
    assert server.governor.budget_bps == 100e6


def test_up_one_rung_at_a_time_and_a_margin_stays_free() -> None:
    server = Server()
    server.have = [0, 0, 30]
    assert server.step() == [0, 30, 0]
    server.step()
    assert server.have[0] > 0 and 90e6 < server.taken_bps <= 95e6


def test_within_the_margin_nothing_moves() -> None:
    server = Server()
    server.have = [20, 8, 0]
    assert [server.step()[:] for _ in range(5)] == [[20, 8, 0]] * 5


def test_a_few_go_down_where_many_can_go_up_for_it() -> None:
    """Those who came late must not stay at the bottom because others hold the top."""
    server = Server()
    server.have = [23, 0, 3]
    server.step()
    assert server.have[2] == 0 and server.taken_bps <= 100e6


def test_what_nobody_governs_comes_first() -> None:
    server = Server()
    server.have = [20, 0, 0]
    server.other_bps = 60e6
    for _ in range(4):
        server.step()
    assert server.governor.ungoverned_bps == pytest.approx(60e6, rel=0.01)
    assert server.taken_bps <= 40e6


def test_the_lowest_rung_is_not_taken_away() -> None:
    server = Server(capacity_bps=1_000_000)
    server.have = [5, 0, 5]
    assert server.step() == [0, 0, 10]


def test_newcomers_get_what_is_left() -> None:
    server = Server()
    server.have = [20, 0, 0]
    server.step()
    admitted = [server.governor.admit(OFFERS, 0) for _ in range(6)]
    assert admitted == [0, 0, 0, 1, 2, 2]
    assert Server().governor.admit(OFFERS, 1) == 1


def test_what_stays_over_budget_for_two_segments_is_on_record() -> None:
    server = Server(capacity_bps=10_000_000)
    server.have = [0, 0, 20]
    told = []
    for _ in range(5):
        server.step()
        told.append(server.governor.judge("a"))
    assert told == [False, False, True, True, True]
    assert server.governor.account("a").over_budget_segments == 3
    server.have = [0, 0, 2]
    for _ in range(4):
        server.step()
        told.append(server.governor.judge("a"))
    assert not told[-1]


def test_offers_are_worth_the_logarithm_or_what_was_measured() -> None:
    by_rate = offers_of(RUNGS, [4e6, 2e6, 1e6], None)
    steps = [a.utility - b.utility for a, b in itertools.pairwise(by_rate)]
    assert steps[0] == pytest.approx(steps[1])
    by_vmaf = offers_of(RUNGS, [4e6, 2e6, 1e6], {"720p": 90, "480p": 80, "360p": 60})
    assert by_vmaf[0].utility - by_vmaf[1].utility == pytest.approx(steps[0])
    assert by_vmaf[1].utility - by_vmaf[2].utility == pytest.approx(2 * steps[0])


def test_rates_are_those_of_the_newest_segments() -> None:
    assert rates_of(RUNGS, [], [3.0, 2.0, 1.0]) == [3.0, 2.0, 1.0]
    shown = [segment_set(msn, size_bytes=9000) for msn in range(2)]
    shown += [segment_set(msn, size_bytes=1000) for msn in range(4)]
    assert rates_of(RUNGS, shown, []) == [4000.0] * 3


def test_while_viewers_come_there_is_room_kept_for_the_next() -> None:
    """Twenty at the top fit; ten more each segment will not, and are made room for in time."""
    server = Server()
    passed = []
    for _ in range(8):
        server.have[2] += 8
        server.step()
        passed.append(server.taken_bps + 8 * OFFERS[2].rate_bps > 100e6)
    assert not any(passed)
