"""One series with its forecaster, and whether that one is to be believed. Pure.

Not believed is a forecaster that was not fed (its last sample is old), and one that was worse over
the last minutes than *it stays as it is* (`scorecard`). Two thresholds lie apart, so that it
does not go to and fro; it learns on all the while, and can earn its trust again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from traffic_manager.forecasting.base import HORIZONS_S, Forecast
from traffic_manager.forecasting.kinds import load_forecaster, make_forecaster
from traffic_manager.forecasting.past import Values
from traffic_manager.forecasting.scorecard import Scorecard

JUDGED_AT_S = (10.0, 30.0, 60.0, 300.0)
"""Horizons of the scorecard."""
_DOUBTED_ABOVE = 1.2
_BELIEVED_BELOW = 1.05
"""Of the error of *it stays as it is*, at the horizons by which relays are started."""
_JUDGED_MIN = 600
"""Forecasts, each horizon by itself: some minutes. A crowd may come before that."""
_NEAR_S = 30.0


class Series:
    """What one series was, and what is made of it."""

    def __init__(self, kind: str, step_s: float) -> None:
        self.step_s = step_s
        self.forecaster = make_forecaster(kind, step_s=step_s, horizons_s=HORIZONS_S)
        self.scorecard = Scorecard(JUDGED_AT_S, step_s)
        self.learned_at_s = float("-inf")
        """On the clock of who feeds it."""
        self.worse = False
        """Worse than persistence."""
        self.doubt = ""
        """Why the forecaster is not to be believed; empty if it is. As of the last `look`."""
        self._forecast: Forecast | None = None

    def learn(self, at_s: float, value: float, now_s: float) -> None:
        """One sample at `at_s`. Raises ValueError for one that cannot be."""
        value = float(value)
        self.forecaster.learn(at_s, value)
        self.scorecard.learn(at_s, value)
        self.learned_at_s = now_s
        self._forecast = None

    def ahead(self, lead_time_s: float) -> Values:
        """Each quantile at its highest up to the lead time, then the point forecast at its."""
        forecast = self._made(lead_time_s)
        near = np.asarray(forecast.horizons_s) <= lead_time_s
        bounds = forecast.values[near].max(axis=0)
        likely = np.asarray(forecast.expected)[near].max()
        found: Values = np.append(bounds, likely)
        return found

    def expected(self, horizon_s: float) -> float:
        """The point forecast made of the last sample, or that sample where none was made."""
        made = self._forecast
        if made is None:
            return self.forecaster.level
        return float(np.interp(horizon_s, made.horizons_s, made.expected))

    def look(self, now_s: float, stale_after_s: float, lead_time_s: float) -> str:
        """Whether the forecaster is to be believed now; sets and returns `doubt`."""
        mase = self._error_of_persistence(lead_time_s)
        if mase is not None and self.scorecard.samples >= _JUDGED_MIN:
            self.worse = mase > (_BELIEVED_BELOW if self.worse else _DOUBTED_ABOVE)
        since_s = now_s - self.learned_at_s
        self.doubt = ""
        if since_s > stale_after_s:
            self.doubt = f"it learned nothing for {since_s:.0f} s"
        elif self.worse:
            self.doubt = f"its errors were {mase or 0.0:.2f} times those of no forecast"
        return self.doubt

    def _error_of_persistence(self, lead_time_s: float) -> float | None:
        """MASE at the horizons that matter."""
        near = [h for h in JUDGED_AT_S if h <= max(_NEAR_S, lead_time_s)]
        found = [self.scorecard.mase_at(horizon_s) for horizon_s in near]
        known = [mase for mase in found if mase is not None]
        return sum(known) / len(known) if known else None

    def save(self) -> dict[str, Any]:
        return {
            "forecaster": self.forecaster.save(),
            "scorecard": self.scorecard.save(),
            "worse": self.worse,
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Series":
        """What `save` gave. Raises an exception of any kind for anything else."""
        forecaster = load_forecaster(state["forecaster"])
        made = cls(forecaster.kind, forecaster.step_s)
        made.forecaster = forecaster
        made.scorecard = Scorecard.load(state["scorecard"])
        made.worse = bool(state["worse"])
        return made

    def _made(self, lead_time_s: float) -> Forecast:
        """The forecast up to the lead time and for the scorecard: made once for a sample.

        Between the horizons at which a forecaster learns it is a line: none is higher than there.
        """
        within = [horizon_s for horizon_s in HORIZONS_S if horizon_s < lead_time_s]
        wanted = tuple(sorted({*within, float(lead_time_s), *JUDGED_AT_S}))
        if self._forecast is None or self._forecast.horizons_s != wanted:
            self._forecast = self.forecaster.forecast(wanted)
            self.scorecard.note(self._forecast)
        return self._forecast
