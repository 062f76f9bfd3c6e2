"""A right stream has no findings; each planted violation is found by its rule."""

import pytest

from surgecast.hls.observation import Severity
from surgecast.hls.rulebook import Look
from tests.support.ll_show import LlShow
from tests.support.show_asker import checked
from tests.support.show_model import Show
from tests.support.ts_show import TsShow


@pytest.mark.parametrize(("show", "seconds"), [(TsShow(), 30.0), (LlShow(), 30.0)])
async def test_a_right_stream(show: Show, seconds: float) -> None:
    """Restarts of the encoder and a session that switches are in it."""
    report = await checked(show, seconds)
    assert report.findings == () and report.of(Severity.WARNING) == ()
    assert report.looks[Look.DISCONTINUITY] >= 2
    assert report.looks[Look.REMOVED] >= 1
