"""An LSTM behind the face of a predictor: that it reads the past of a worker."""

from importlib.util import find_spec

import numpy as np
import pytest

from traffic_manager.placement.costs.predictors.base import Table
from traffic_manager.placement.costs.predictors.kinds import make_predictor

STEPS = 6


def accepted(rows: int, seed: int) -> Table:
    """Load of a worker once a channel is accepted: what the channel takes, and where the load of
    the last reports was going."""
    generator = np.random.default_rng(seed)
    cost = generator.uniform(0.05, 0.3, rows)
    level, slope = generator.uniform(0.2, 0.5, rows), generator.uniform(-0.03, 0.03, rows)
    past = level[:, None] - slope[:, None] * np.arange(STEPS)  # 0 is the newest
    names = ("cost_log", *(f"past_{back}_load" for back in range(STEPS)))
    values = (level + 4 * slope + cost) * generator.lognormal(0, 0.02, rows)
    return Table(names, np.column_stack([np.log(cost), past]), values)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed (extra)")
def test_where_the_load_was_going_is_read_from_the_past():
    table, fresh = accepted(600, 1), accepted(200, 2)
    predictor = make_predictor("lstm", 1)
    predictor.fit(table)
    error = np.median(np.abs(np.log(predictor.predict_all(fresh) / fresh.values)))
    # Without the past the slope alone is worth 0.1.
    assert error < 0.05
    # However a worker came to where it is, a task is none that was never heard of.
    past = {name: 50.0 for name in table.names if name.startswith("past_")}
    assert predictor.predict({"cost_log": -2.0, **past}).outside == ""
    assert predictor.predict({"cost_log": 9.0, **past}).outside != ""
    blind = Table(table.names[:2], table.rows[:, :2], table.values)
    predictor.fit(blind)
    assert np.median(np.abs(np.log(predictor.predict_all(fresh) / fresh.values))) > 1.5 * error
