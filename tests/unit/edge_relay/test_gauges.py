"""What a relay spares its upstream, as a number."""

import pytest

from edge_relay.gauges import offload_ratio


@pytest.mark.parametrize(
    ("bytes_in", "bytes_out", "expected"),
    [(0, 0, 0.0), (100, 0, 0.0), (100, 50, 0.0), (100, 100, 0.0), (1, 500, 0.998), (0, 9, 1.0)],
)
def test_offload_is_the_share_that_was_not_pulled(bytes_in, bytes_out, expected):
    assert offload_ratio(bytes_in, bytes_out) == pytest.approx(expected)
