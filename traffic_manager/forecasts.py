"""What each region and channel will want, and what the policy may take from that. Pure.

One series a region decides; some of a channel in a region, the most watched ones, say what relays
are to have warm and what an event of the calendar adds to. The number of series is bounded, and so
is what is learned in one look: where there are many, each is sampled less often.

A forecaster that is not to be believed (`series`) is left out: the region falls back on its present
demand, and that is on record. One that fails is dropped, and learning begins anew.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from traffic_manager.ahead import Ahead, Place
from traffic_manager.demand import NOTHING, Demand, Load
from traffic_manager.forecasting.base import HORIZONS_S, QUANTILES
from traffic_manager.forecasting.leading import JUDGED_AFTER_S, Leading
from traffic_manager.forecasting.series import Series
from traffic_manager.forecasting.surge import Surge, reach_s
from traffic_manager.settings import ForecastingSettings

_LEARNED_PER_LOOK = 32
"""Series that take a sample in one look; the others wait for the next."""
_CHANNEL_STEPS = 5
"""Channels are sampled at this many times the spacing of regions."""
_CHEAP = ("persistence", "damped_drift", "hedge")
"""Kinds that channels may have; they have the last of them instead of a costlier one."""
_CLOCK_SLACK_S = 30.0
_EARLY = 0.9
"""Of its spacing: a sample may come that much sooner, as looks have a grid of their own."""
VERSION = 1


class Forecasts:
    """Learns what is wanted, in bit/s."""

    def __init__(self, settings: ForecastingSettings, step_s: float = 1.0) -> None:
        """`step_s` is the spacing of samples of a region while there are not too many."""
        self.settings = settings
        self.step_s = step_s
        self._series: dict[Place, Series] = {}
        self._surges: dict[str, Surge] = {}
        self._leading = Leading()
        self._loads: Mapping[str, Load] = {}
        self._offset_s: float | None = None
        """Forecasters live by the wall clock, which goes on where the manager is started again;
        but it is the other clock that moves it, as that never jumps."""
        self._now_s = -math.inf

    def change(self, settings: ForecastingSettings) -> None:
        """Go by other settings; another kind begins anew."""
        if settings.kind != self.settings.kind:
            self._begin_anew()
        self.settings = settings

    @property
    def series(self) -> Mapping[Place, Series]:
        return self._series

    def learn(self, demand: Demand, now_s: float, utc: float) -> list[str]:
        """A sample of each series that is due; sentences about what failed."""
        if self.settings.kind == "reactive":
            return []
        failed = self._follow_clocks(now_s, utc)
        self._loads = demand.by_region()
        for region, load in self._loads.items():
            surge = self._surges.setdefault(region, Surge())
            surge.learn(now_s, load.viewers, load.joins_per_s)
        values = self._values(demand)
        self._leading.learn(
            now_s + self._offset,
            {region: bps for (region, channel), bps in values.items() if not channel},
            {r: s.expected(JUDGED_AFTER_S) for (r, c), s in self._series.items() if not c},
        )
        waited = {place: self._waited_steps(place, now_s) for place in values}
        due = [place for place in values if waited[place] >= _EARLY]
        due.sort(key=lambda place: (-waited[place], bool(place[1])))
        for place in due[:_LEARNED_PER_LOOK]:
            try:
                self._of(place).learn(now_s + self._offset, values[place], now_s)
            except Exception as error:  # whatever a forecaster is made of
                failed.append(self._failed(place, error))
        return failed

    def ahead(self, lead_time_s: float, now_s: float) -> Ahead:
        """The highest demand of each region up to the lead time."""
        found = Ahead({}, {}, [])
        for place, series in list(self._series.items()):
            try:
                before = series.doubt
                doubt = series.look(now_s, self.settings.stale_after_s, lead_time_s)
                *bounds, likely = map(float, series.ahead(lead_time_s))
            except Exception as error:
                found.failed.append(self._failed(place, error))
                continue
            region, channel = place
            if channel:
                if not doubt:
                    found.channels_bps[place] = likely
            elif doubt:
                found.doubts[region] = doubt
                if not before:
                    found.failed.append(f"forecast of {region} is not used: {doubt}")
            else:
                if before:
                    found.believed_again.append(region)
                self._put(found, region, bounds, likely, lead_time_s)
        return found

    def _put(
        self, found: Ahead, region: str, bounds: Sequence[float], likely: float, lead_time_s: float
    ) -> None:
        """A crowd that comes now is seen by those who join before any forecaster sees it, and one
        that went through another region before by that one."""
        likely_bps, upper_bps = self._rising_to(region, lead_time_s)
        factor = self._leading.factor(region, lead_time_s)
        if factor > 1:
            led_bps = self._loads.get(region, NOTHING).wanted_bps * factor
            bounds = [
                b + max(0.0, led_bps - likely) * (q >= 0.5)
                for q, b in zip(QUANTILES, bounds, strict=True)
            ]
            likely = max(likely, led_bps)
        raised = tuple(
            max(bps, upper_bps if q >= self.settings.quantile else likely_bps if q >= 0.5 else 0.0)
            for q, bps in zip(QUANTILES, bounds, strict=True)
        )
        found.quantiles_bps[region] = raised
        found.upper_bps[region] = raised[QUANTILES.index(self.settings.quantile)]
        found.likely_bps[region] = max(likely, likely_bps)

    def _rising_to(self, region: str, horizon_s: float) -> tuple[float, float]:
        """Likely and feared demand if those who join now go on to; 0 where nothing is certain."""
        load = self._loads.get(region, NOTHING)
        surge = self._surges.get(region)
        if surge is None or not load.viewers:
            return 0.0, 0.0
        rise, each_bps = surge.rise(), load.wanted_bps / load.viewers
        if not rise.upper_per_s:
            return 0.0, 0.0
        more_s = reach_s(horizon_s)
        return (
            load.wanted_bps + rise.likely_per_s * more_s * each_bps,
            load.wanted_bps + rise.upper_per_s * more_s * each_bps,
        )

    def told(self, region: str) -> dict[str, Any]:
        """Quantiles at some horizons and what they go by: JSON. Empty for a region without."""
        series = self._series.get((region, ""))
        if series is None:
            return {}
        forecast = series.forecaster.forecast(HORIZONS_S)
        quantiles = {str(q): [round(value) for value in forecast.at(q)] for q in QUANTILES}
        return {
            "horizons_s": list(HORIZONS_S),
            "quantiles_bps": quantiles,
            "used": not series.doubt,
            "not_used_because": series.doubt,
            "channels_followed": sorted(c for r, c in self._series if r == region and c),
            "goes_after": self._leading.explain(region),
            "explanation": series.forecaster.explain(),
            "scorecard": series.scorecard.told(),
        }

    def regions(self) -> list[str]:
        return sorted(region for region, channel in self._series if not channel)

    def forget(self, known: Mapping[str, object]) -> None:
        """Drop regions that are not there any more."""
        for place in [place for place in self._series if place[0] not in known]:
            del self._series[place]
        for region in set(self._surges) - set(known):
            del self._surges[region]

    # State across restarts.

    def save(self) -> dict[str, Any]:
        """What was learned of regions: JSON."""
        regions = {region: self.save_region(region) for region in self.regions()}
        return self.save_common() | {"regions": regions}

    def save_common(self) -> dict[str, Any]:
        """All but the regions themselves."""
        return {
            "version": VERSION,
            "kind": self.settings.kind,
            "leading": self._leading.save(),
        }

    def save_region(self, region: str) -> dict[str, Any] | None:
        """What was learned of one; None for one that is gone."""
        series = self._series.get((region, ""))
        return None if series is None else series.save()

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on with what `save` gave; what is of another kind is left. Raises ValueError, and
        changes nothing, for what `save` never gave."""
        try:
            if state["version"] != VERSION:
                raise ValueError(f"version {state['version']}; allowed: {VERSION}")
            if state["kind"] != self.settings.kind:
                return
            leading = Leading()
            leading.load(state["leading"])
            loaded = {(name, ""): Series.load(one) for name, one in state["regions"].items()}
        except Exception as error:  # it may be anything
            raise ValueError(f"no forecasts that were kept: {type(error).__name__} {error}") from (
                error
            )
        self._leading = leading
        self._series |= {
            place: series for place, series in loaded.items() if series.step_s >= self.step_s
        }

    # Which series there are, and when they are fed.

    def _values(self, demand: Demand) -> dict[Place, float]:
        """Every series that is to be, with its present value."""
        values = {(region, ""): load.wanted_bps for region, load in self._loads.items()}
        gone = [place for place in self._series if not place[1] and place not in values]
        values |= dict.fromkeys(gone, 0.0)
        wanted = self._channels(demand)
        for place in [place for place in self._series if place[1] and place not in wanted]:
            del self._series[place]
        return values | {
            place: demand.cells[place].wanted_bps if place in demand.cells else 0.0
            for place in wanted
        }

    def _channels(self, demand: Demand) -> set[Place]:
        """The most watched ones; one that is followed stays while it is among twice as many."""
        most = self.settings.channels_max
        ranked = sorted(demand.cells, key=lambda place: -demand.cells[place].wanted_bps)
        several = _several(demand.cells)
        ranked = [place for place in ranked if place[0] in several]
        kept = [place for place in ranked[: 2 * most] if place in self._series][:most]
        fresh = [place for place in ranked if place not in kept][: most - len(kept)]
        return {*kept, *fresh}

    def _waited_steps(self, place: Place, now_s: float) -> float:
        """Since the last sample, in steps of its own; infinite before the first."""
        series = self._series.get(place)
        return math.inf if series is None else (now_s - series.learned_at_s) / series.step_s

    def _of(self, place: Place) -> Series:
        if place not in self._series:
            kind: str = self.settings.kind
            step_s = self.step_s
            if place[1]:
                kind = kind if kind in _CHEAP else _CHEAP[-1]
                step_s *= _CHANNEL_STEPS
            self._series[place] = Series(kind, step_s)
        return self._series[place]

    @property
    def _offset(self) -> float:
        assert self._offset_s is not None
        return self._offset_s

    def _follow_clocks(self, now_s: float, utc: float) -> list[str]:
        """Time goes on, or learning begins anew; sentences about that."""
        back = now_s < self._now_s
        self._now_s = now_s
        last_s = max((s.forecaster.at_s for s in self._series.values()), default=-math.inf)
        if self._offset_s is None or back:
            # Kept by one whose wall clock was a little ahead: as if no time had passed.
            early = 0 <= last_s - utc < _CLOCK_SLACK_S and not back
            self._offset_s = (last_s + self.step_s if early else utc) - now_s
        # Slept through: the wall clock has gone on, the other has not.
        self._offset_s = max(self._offset_s, utc - now_s - _CLOCK_SLACK_S)
        if not back and last_s <= now_s + self._offset_s:
            return []
        self._begin_anew()
        return ["the clock went back; what was learned is dropped"]

    def _begin_anew(self) -> None:
        self._series.clear()
        self._surges.clear()
        self._leading = Leading()

    def _failed(self, place: Place, error: Exception) -> str:
        self._series.pop(place, None)
        name = " ".join(part for part in place if part)
        return f"no forecast for {name}: {error or type(error).__name__}"


def _several(places: Iterable[Place]) -> set[str]:
    """Regions in which more than one channel is watched: else the channel is the region."""
    counts = Counter(region for region, _ in places)
    return {region for region, channels in counts.items() if channels > 1}
