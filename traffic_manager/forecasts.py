"""One forecaster a region, and what the policy may take from them. Pure.

A forecaster that fails or was not fed is not believed: the region falls back on its present demand,
and that is an incident. What was learned of it is dropped, and learning begins anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from traffic_manager.demand import Demand
from traffic_manager.forecasting.base import HORIZONS_S, QUANTILES, Forecaster
from traffic_manager.forecasting.kinds import make_forecaster
from traffic_manager.settings import ForecastingSettings

_STEPS = 4
"""Horizons between now and the lead time at which the highest demand is looked for."""
_SAMPLE_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is expected, by region in bit/s, and sentences about what failed."""

    upper_bps: dict[str, float]
    """At the quantile of the settings."""
    likely_bps: dict[str, float]
    """Without regard to errors made before."""
    failed: list[str]


class Forecasts:
    """Learns what each region wants, in bit/s."""

    def __init__(self, settings: ForecastingSettings) -> None:
        self.settings = settings
        self._regions: dict[str, Forecaster] = {}
        self._sampled_at_s = float("-inf")

    def change(self, settings: ForecastingSettings) -> None:
        """Go by other settings; another kind begins anew."""
        if settings != self.settings:
            self.settings = settings
            self._regions.clear()

    def learn(self, demand: Demand, now_s: float, utc: float) -> list[str]:
        """One sample of each region, once a second; sentences about what failed."""
        del utc  # what repeats daily will need it
        if self.settings.kind == "reactive" or now_s - self._sampled_at_s < _SAMPLE_EVERY_S:
            return []
        self._sampled_at_s = now_s
        loads = demand.by_region()
        failed = []
        for region in {*loads, *self._regions}:
            value = loads[region].wanted_bps if region in loads else 0.0
            try:
                self._of(region).learn(now_s, value)
            except Exception as error:  # whatever a forecaster is made of
                failed.append(self._failed(region, error))
        return failed

    def ahead(self, lead_time_s: float, now_s: float) -> Ahead:
        """The highest demand of each region up to the lead time."""
        steps = [lead_time_s * (step + 1) / _STEPS for step in range(_STEPS)]
        found = Ahead({}, {}, [])
        for region, forecaster in list(self._regions.items()):
            if now_s - forecaster.at_s > self.settings.stale_after_s:
                continue
            try:
                forecast = forecaster.forecast(steps)
                found.upper_bps[region] = forecast.upper(self.settings.quantile)
                found.likely_bps[region] = forecast.likely()
            except Exception as error:
                found.failed.append(self._failed(region, error))
        return found

    def told(self, region: str) -> dict[str, Any]:
        """Quantiles at some horizons and what they go by: JSON. Empty for a region without."""
        forecaster = self._regions.get(region)
        if forecaster is None:
            return {}
        forecast = forecaster.forecast(HORIZONS_S)
        quantiles = {str(q): [round(value) for value in forecast.at(q)] for q in QUANTILES}
        return {
            "horizons_s": list(HORIZONS_S),
            "quantiles_bps": quantiles,
            "explanation": forecaster.explain(),
        }

    def regions(self) -> list[str]:
        return sorted(self._regions)

    def forget(self, known: Mapping[str, object]) -> None:
        """Drop regions that are not there any more."""
        for region in set(self._regions) - set(known):
            del self._regions[region]

    def _of(self, region: str) -> Forecaster:
        if region not in self._regions:
            self._regions[region] = self._made()
        return self._regions[region]

    def _made(self) -> Forecaster:
        return make_forecaster(self.settings.kind, step_s=_SAMPLE_EVERY_S, horizons_s=HORIZONS_S)

    def _failed(self, region: str, error: Exception) -> str:
        self._regions.pop(region, None)
        return f"no forecast for {region}: {error or type(error).__name__}"
