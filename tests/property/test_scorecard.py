"""Whatever comes, a scorecard says something that can be believed, and remembers no more."""

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from traffic_manager.forecasting.base import QUANTILES
from traffic_manager.forecasting.kinds import make_forecaster
from traffic_manager.forecasting.scorecard import Scorecard

SAMPLES = st.lists(
    st.tuples(
        st.floats(min_value=0.01, max_value=200.0),
        st.one_of(st.just(0.0), st.floats(min_value=0.0, max_value=1e12)),
    ),
    max_size=120,
)
"""Time since the one before, and value."""


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.floats(min_value=0.0, max_value=3.0))
def test_figures_are_shares_and_ratios_and_survive_a_restart(samples, exaggeration):
    card = Scorecard((5.0, 60.0), 1.0)
    at_s = 0.0
    for passed_s, value in samples:
        at_s += passed_s
        card.learn(at_s, value)
        card.note(forecast_of(at_s, value * exaggeration))
    for quantile in QUANTILES:
        for share in (card.coverage(quantile), card.coverage_in_rise(quantile)):
            assert share is None or -1e-9 <= share <= 1 + 1e-9
    ladder = [card.coverage(quantile) or 0.0 for quantile in QUANTILES]
    assert ladder == sorted(ladder), "a higher bound covers no less"
    for figure in (card.mase, card.bias):
        assert figure is None or math.isfinite(figure)
    assert (card.mase is None) == (card.samples == 0)
    again = Scorecard.load(json.loads(json.dumps(card.save())))
    assert again.told() == card.told()
    assert len(json.dumps(card.save())) < 60_000


def forecast_of(at_s: float, value: float):
    """Of one who expects that value, with the spread it assumes at the beginning."""
    stays = make_forecaster("persistence", step_s=1.0, horizons_s=(5.0, 60.0))
    stays.learn(at_s, value)
    return stays.forecast((5.0, 60.0))
