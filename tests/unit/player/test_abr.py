"""Estimate and choice, as a table: situation -> expected decision."""

import pytest

from player.abr import START_BPS, BandwidthEstimate, choose
from surgecast.hls.model import Variant

LOW, MID, TOP = (Variant(f"{bps}.m3u8", bps) for bps in (300_000, 1_000_000, 3_000_000))


@pytest.mark.parametrize(
    ("estimate_bps", "current", "expected"),
    [
        (10_000, None, LOW),
        (START_BPS, None, LOW),
        (20_000_000, None, TOP),
        (20_000_000, LOW, TOP),
        (3_200_000, TOP, TOP),
        (3_200_000, MID, MID),
        (3_000_000, TOP, MID),
        (4_300_000, MID, TOP),
        (100_000, TOP, LOW),
    ],
)
def test_choice(estimate_bps: float, current: Variant | None, expected: Variant) -> None:
    assert choose([TOP, LOW, MID], estimate_bps, current) is expected


def test_nothing_known_yet() -> None:
    assert BandwidthEstimate().bps() == START_BPS


def test_a_steady_link_is_known_from_the_first_sample() -> None:
    estimate = BandwidthEstimate()
    for _ in range(5):
        estimate.sample(250_000, 1.0)
        assert estimate.bps() == pytest.approx(2_000_000)


def test_falls_fast_and_rises_slowly() -> None:
    falling, rising = BandwidthEstimate(), BandwidthEstimate()
    for _ in range(20):
        falling.sample(1_000_000, 1.0)
        rising.sample(100_000, 1.0)
    for _ in range(3):
        falling.sample(100_000, 1.0)
        rising.sample(1_000_000, 1.0)
    middle = (8_000_000 + 800_000) / 2
    assert falling.bps() <= middle * 1.001
    assert rising.bps() < middle * 0.6


def test_a_download_in_no_time_does_not_divide_by_zero() -> None:
    estimate = BandwidthEstimate()
    estimate.sample(1000, 0.0)
    assert 0 < estimate.bps() < float("inf")
