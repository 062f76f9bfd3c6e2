"""What it costs the manager to look ahead: processor time of one look, and what is kept on disk.

Many regions, each with two channels that go up and down by chance, are learned and forecast as the
manager does it, twice a second. The second half of the looks is measured.

    python -m bench.forecast_cost [--kind hedge] [--regions 64] [--looks 400] [--json]
"""

import argparse
import json
import statistics
import sys
import time
from typing import Any

import numpy as np

from traffic_manager.demand import Demand, Load
from traffic_manager.forecasts import Forecasts
from traffic_manager.settings import ForecastingSettings

_TICK_S = 0.5
_LEAD_S = 16.0
_UTC = 1.8e9
_BPS = 3e8


def measured(kind: str, regions: int, looks: int) -> dict[str, Any]:
    settings = ForecastingSettings.model_validate({"kind": kind})
    forecasts = Forecasts(settings)
    chance = np.random.default_rng(1)
    levels = chance.uniform(0.3, 3.0, size=(regions, 2))
    costs_ms = []
    for look in range(looks):
        now_s = look * _TICK_S
        levels *= np.exp(0.01 * chance.normal(size=levels.shape))
        demand = Demand(
            now_s,
            {
                (f"region-{region}", f"channel-{channel}"): _load(float(level))
                for region, row in enumerate(levels)
                for channel, level in enumerate(row)
            },
        )
        began_s = time.process_time()
        forecasts.learn(demand, now_s, _UTC + now_s)
        forecasts.ahead(_LEAD_S, now_s)
        costs_ms.append(1000 * (time.process_time() - began_s))
    settled = costs_ms[looks // 2 :]
    return {
        "kind": kind,
        "regions": regions,
        "series": len(forecasts.series),
        "look_mean_ms": round(statistics.fmean(settled), 2),
        "look_max_ms": round(max(settled), 2),
        "share_of_a_core": round(statistics.fmean(settled) / (1000 * _TICK_S), 4),
        "kept_bytes": len(json.dumps(forecasts.save())),
    }


def _load(level: float) -> Load:
    return Load(round(100 * level), 1.0, level * _BPS, level * _BPS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--kind", default="hedge")
    parser.add_argument("--regions", type=int, default=64)
    parser.add_argument("--looks", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    found = measured(chosen.kind, chosen.regions, chosen.looks)
    if chosen.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['kind']}: {found['regions']} regions, {found['series']} series: "
            f"{found['look_mean_ms']} ms a look ({found['look_max_ms']} at the most), "
            f"{found['share_of_a_core']:.1%} of a core, {found['kept_bytes'] / 1e6:.1f} MB kept"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
