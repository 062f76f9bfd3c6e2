"""What a viewer can take, by what was seen of the connection and what the player says."""

import pytest

from surgecast.delivery.adaptation.allocation import Offer
from surgecast.delivery.adaptation.ceiling import Ceiling, Drained, highest
from surgecast.delivery.adaptation.cmcd import Cmcd

OFFERS = (Offer(4e6, 2.0), Offer(2e6, 1.0), Offer(1e6, 0.0))


def drained(rate_bps: float, busy_s: float = 1.0, rtt_s: float = 0.05) -> Drained:
    return Drained(int(rate_bps * busy_s / 8), busy_s, rtt_s, None)


def seen(*rates_bps: float) -> Ceiling:
    ceiling = Ceiling()
    for at, rate_bps in enumerate(rates_bps):
        ceiling.sample(2.0 * at, drained(rate_bps))
    return ceiling


def test_it_falls_at_once_and_rises_slowly() -> None:
    fallen = seen(8e6, 8e6, 2e6).bps(6.0)
    risen = seen(2e6, 2e6, 8e6).bps(6.0)
    assert fallen is not None and fallen <= 5e6
    assert risen is not None and risen < 3e6


def test_nothing_is_known_of_bursts_and_small_things() -> None:
    ceiling = Ceiling()
    ceiling.sample(0.0, drained(1e6, busy_s=0.1))
    ceiling.sample(1.0, drained(8e6, busy_s=0.15, rtt_s=0.2))
    assert ceiling.bps(1.0) is None and highest(OFFERS, 2, None) == 0


def test_a_burst_raises_but_does_not_lower() -> None:
    ceiling = seen(4e6, 4e6)
    ceiling.sample(4.0, drained(3e6, busy_s=0.19))
    assert ceiling.bps(4.0) == pytest.approx(4e6)
    ceiling.sample(6.0, drained(40e6, busy_s=0.05))
    risen = ceiling.bps(6.0)
    assert risen is not None and risen > 8e6


def test_what_was_long_ago_is_forgotten() -> None:
    ceiling = seen(1e6)
    assert ceiling.bps(29.0) == pytest.approx(1e6) and ceiling.bps(31.0) is None


def test_a_player_is_never_believed_alone_and_lowers_by_half_at_most() -> None:
    alone = Ceiling()
    alone.told(0.0, Cmcd(throughput_bps=1000.0, starved=True))
    assert alone.bps(0.0) is None
    ceiling = seen(4e6)
    ceiling.told(0.0, Cmcd(throughput_bps=180e6))
    assert ceiling.bps(0.0) == pytest.approx(4e6)
    ceiling.told(0.0, Cmcd(throughput_bps=3e6))
    assert ceiling.bps(0.0) == pytest.approx(3e6)
    ceiling.told(0.0, Cmcd(throughput_bps=1000.0, starved=True))
    assert ceiling.bps(0.0) == pytest.approx(2e6)
    ceiling.told(0.0, Cmcd(starved=True))
    assert ceiling.bps(0.0) == pytest.approx(2.8e6) and ceiling.bps(11.0) == pytest.approx(4e6)


@pytest.mark.parametrize(
    ("held", "ceiling_bps", "position"),
    [(0, 4.5e6, 0), (1, 4.5e6, 1), (1, 6e6, 0), (0, 2.3e6, 1), (2, 2.3e6, 2), (0, 1.0, 2)],
)
def test_a_rung_is_held_longer_than_it_is_risen_to(
    held: int, ceiling_bps: float, position: int
) -> None:
    assert highest(OFFERS, held, ceiling_bps) == position


def test_a_burst_is_seen_though_it_says_little_and_small_things_are_not() -> None:
    ceiling = Ceiling()
    assert not ceiling.seen(0.0)
    ceiling.sample(0.0, Drained(10_000, 1.0, 0.05, None))
    assert not ceiling.seen(0.0)
    ceiling.sample(1.0, drained(80e6, busy_s=0.01))
    assert ceiling.seen(2.0) and ceiling.bps(2.0) is None
    assert not ceiling.seen(32.0)
