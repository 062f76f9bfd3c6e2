"""Access networks: what a link carries when, against counting it step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from player.swarm.links import RATE_BPS_MIN, Link, Pacer, steady, traced
from surgecast.errors import ConfigError


@pytest.mark.parametrize(
    ("link", "at_s", "size_bytes", "there_s"),
    [
        (steady(8000.0), 0.0, 1000, 1.0),
        (steady(8e6), 12.5, 3_000_000, 15.5),
        (traced([(5.0, 0.8), (6.0, 8.0)]), 0.0, 100_000, 1.0),
        (traced([(5.0, 0.8), (6.0, 8.0)]), 0.5, 50_000, 1.0),
        (traced([(5.0, 0.8), (6.0, 8.0)]), 0.0, 1_100_000, 2.0),
        (traced([(5.0, 0.8), (6.0, 8.0)]), 1.0, 1_100_000, 3.0),
        (traced([(0.0, 0.0), (1.0, 8.0)]), 0.0, 1000, 1.0),
    ],
)
def test_when_something_is_there(link: Link, at_s: float, size_bytes: int, there_s: float) -> None:
    assert link.carried_at(at_s, size_bytes) == pytest.approx(there_s)


rates = st.lists(st.integers(8, 20_000).map(lambda k: k * 1000.0), min_size=1, max_size=6)


@given(rates, st.floats(0, 50), st.lists(st.integers(1, 10**6), min_size=1, max_size=6))
def test_pieces_take_as_long_as_the_whole(
    rates: list[float], at_s: float, sizes: list[int]
) -> None:
    link = Link(tuple((float(second), bps) for second, bps in enumerate(rates)))
    whole, there = link.carried_at(at_s, sum(sizes)), at_s
    for size in sizes:
        before, there = there, link.carried_at(there, size)
        assert there > before
    assert there == pytest.approx(whole, abs=1e-5)
    seconds = whole - at_s
    assert min(rates) * seconds - 1 <= sum(sizes) * 8 <= max(rates) * seconds + 1


def test_a_pacer_pays_for_what_was_read() -> None:
    pacer = Pacer(steady(8000.0), began_at=100.0, offset_s=3.0)
    assert pacer.read(1000, 100.0) == pytest.approx(101.0)
    assert pacer.read(1000, 100.5) == pytest.approx(102.0), "debts add up"
    assert pacer.read(1000, 110.0) == pytest.approx(111.0), "what was not used is gone"
    assert pacer.piece_bytes(110.0, 0.5) == 500


def test_a_link_that_stands_still_crawls() -> None:
    assert steady(0.0).carried_at(0.0, 1000) == pytest.approx(8000 / RATE_BPS_MIN)


@pytest.mark.parametrize(
    "points", [(), ((1.0, 5.0),), ((0.0, 1.0), (0.0, 2.0)), ((0.0, -1.0),), ((0.0, float("nan")),)]
)
def test_what_is_no_link(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ConfigError, match="network"):
        Link(points)
