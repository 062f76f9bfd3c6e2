"""Quantities as people write them."""

import pytest

from surgecast.units import format_bps, parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [("2500k", 2_500_000), ("1.5M", 1_500_000), ("64Ki", 65_536), (" 7 ", 7), (12, 12)],
)
def test_quantity(text: object, value: int) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "k", "5 apples", "-3k", "1e9", "0x10"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="2500k"):
        parse_quantity(text)


@pytest.mark.parametrize(("text", "value"), [("1.5s", 1.5), ("200ms", 0.2), ("10m", 600.0)])
def test_duration(text: str, value: float) -> None:
    assert parse_duration(text) == pytest.approx(value)


def test_rates_for_people() -> None:
    assert format_bps(2_540_000) == "2.54 Mbit/s"
    assert format_bps(12) == "12 bit/s"
