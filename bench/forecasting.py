"""How good the default forecaster is, beside persistence, and what it costs.

On the World Cup trace (judged 15 June to 12 July 1998, all before is only learned from) errors 3, 5
and 10 minutes ahead, over all, in the rise and in a flash, and what the 0.9 quantile covers; on the
YouTube logs the error of each stream by that of persistence. Definitions are those of
`simulation.backtest.measures`. `--until-training` judges 17 May to 14 June instead: what one tunes
on. `--cold` starts anew on stretches of 700 minutes of the training period, as they are and thinned
to about 20 viewers: whether a stream is ever worse than persistence.

    python -m bench.forecasting [--kinds hedge,persistence] [--data ../shared/data]
                                [--until-training] [--cold] [--fits DIR] [--json]
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simulation.backtest.fit_store import FitStore, Run, run_here
from simulation.backtest.measures import Score, conditions, score
from simulation.backtest.rolling import Rolled, roll
from simulation.backtest.trace import Trace
from simulation.backtest.trace_file import Reading, parsed_time, read

WC98 = "wc98_requests_per_minute/wc98.csv.gz"
YOUTUBE = "youtube_live_viewers_5s/viewers.csv.gz"
WC98_HORIZONS_S = (180.0, 300.0, 600.0)
YOUTUBE_HORIZONS_S = (30.0, 60.0, 120.0, 300.0)
BUSY = 10_000.0
COLD_STEPS = 700
BEGIN, TEST, END = "1998-05-10", "1998-06-15", "1998-07-13"
BARS = {"mae": 1200.0, "rise": 2500.0, "mase": 0.85}


@dataclass(frozen=True, slots=True)
class Timed:
    """One forecaster along one trace."""

    rolled: Rolled
    cpu_ms_per_step: float


def timed(trace: Trace, kind: str, horizons_s: Sequence[float], run: Run = run_here) -> Timed:
    horizons = tuple(h for h in horizons_s if round(h / trace.step_s) < len(trace))
    if trace.step_s not in (5.0, 60.0):
        horizons = tuple(h for h in horizons if h % trace.step_s == 0)
    begun = time.process_time()
    rolled = roll(trace, kind, horizons, run=run)
    return Timed(rolled, (time.process_time() - begun) / len(trace) * 1e3)


def world_cup(path: Path, kinds: Sequence[str], training: bool, run: Run) -> dict[str, Any]:
    """By kind and minutes ahead: errors and coverage."""
    trace = kept_until(read(path, Reading())[0], TEST if training else END)
    judged_from = parsed_time("1998-05-17" if training else TEST)
    judged = trace.at_s >= judged_from
    where = conditions(trace, BUSY)
    found = {}
    for kind in kinds:
        along = timed(trace, kind, WC98_HORIZONS_S, run)
        scores = {h: score(along.rolled, h, judged, where) for h in WC98_HORIZONS_S}
        found[kind] = {
            "cpu_ms_per_step": along.cpu_ms_per_step,
            "minutes": {f"{h / 60:g}": told(one) for h, one in scores.items()},
        }
    return found


def kept_until(trace: Trace, end: str) -> Trace:
    """From the beginning of training to `end`; what is left out is never seen."""
    kept = (trace.at_s >= parsed_time(BEGIN)) & (trace.at_s < parsed_time(end))
    return replace(trace, at_s=trace.at_s[kept], values=trace.values[kept], part=trace.part[kept])


def told(one: Score) -> dict[str, float]:
    return {
        "mae": one.mae,
        "rise": one.mae_rise,
        "flash": one.mae_flash,
        "mase": one.mase,
        "covers": one.coverage[0.9],
        "covers_rise": one.coverage_rise[0.9],
    }


def streams(path: Path, kinds: Sequence[str]) -> dict[str, Any]:
    """By kind and stream: error by that of persistence at each horizon, and over all of them."""
    traces = read(path, Reading())
    found = {}
    for kind in kinds:
        ratios: dict[str, dict[str, float]] = {}
        sums: dict[str, list[float]] = {}
        cpu = []
        for trace in traces:
            along = timed(trace, kind, YOUTUBE_HORIZONS_S)
            cpu.append(along.cpu_ms_per_step)
            ratios[trace.name] = {}
            for horizon_s in along.rolled.horizons_s:
                ours, theirs = errors(along.rolled, horizon_s)
                if theirs > 0:
                    ratios[trace.name][f"{horizon_s:g}"] = ours / theirs
                    total = sums.setdefault(f"{horizon_s:g}", [0.0, 0.0])
                    total[0], total[1] = total[0] + ours, total[1] + theirs
        ratios["all"] = {name: ours / theirs for name, (ours, theirs) in sums.items()}
        found[kind] = {"cpu_ms_per_step": float(np.mean(cpu)), "by_persistence": ratios}
    return found


def cold(path: Path, kinds: Sequence[str]) -> dict[str, Any]:
    """By kind and sort of stretch: the worst error by that of persistence at each horizon."""
    trace = kept_until(read(path, Reading())[0], TEST)
    generator, stretches = np.random.default_rng(1), {}
    for day in range(1, 35, 2):
        begin = day * 1440 + int(generator.integers(0, 1440 - COLD_STEPS))
        values = trace.values[begin : begin + COLD_STEPS]
        thinned = generator.poisson(values / values.mean() * 20).astype(np.float64)
        stretches[day] = {"as it is": values, "thinned": thinned}
    found: dict[str, Any] = {}
    for kind in kinds:
        worst = found.setdefault(kind, {"as it is": {}, "thinned": {}})
        for stretch in stretches.values():
            for sort, values in stretch.items():
                one = replace(
                    trace,
                    at_s=np.arange(COLD_STEPS, dtype=np.float64) * trace.step_s,
                    values=values,
                    part=np.zeros(COLD_STEPS, dtype=np.int64),
                )
                rolled = roll(one, kind, WC98_HORIZONS_S)
                for horizon_s in WC98_HORIZONS_S:
                    ours, theirs = errors(rolled, horizon_s)
                    name = f"{horizon_s / 60:g}"
                    worst[sort][name] = max(worst[sort].get(name, 0.0), ours / theirs)
    return found


def errors(rolled: Rolled, horizon_s: float) -> tuple[float, float]:
    """Summed absolute errors: of the forecaster, of persistence."""
    truth = rolled.truth(horizon_s)
    known = np.isfinite(truth)
    ours = np.abs(truth - rolled.point(horizon_s))[known].sum()
    theirs = np.abs(truth - rolled.trace.values)[known].sum()
    return float(ours), float(theirs)


def printed(figures: dict[str, Any]) -> str:
    lines = []
    for kind, one in figures.get("world_cup", {}).items():
        lines.append(f"World Cup, {kind}: {one['cpu_ms_per_step']:.2f} ms of CPU a step")
        lines.append("  ahead    MAE   rise   flash   MASE   0.9 covers  in the rise")
        for minutes, row in one["minutes"].items():
            lines.append(
                f"  {minutes:>2} min {row['mae']:6.0f} {row['rise']:6.0f} {row['flash']:7.0f} "
                f"{row['mase']:6.3f}   {row['covers']:9.1%}   {row['covers_rise']:9.1%}"
            )
    for kind, one in figures.get("streams", {}).items():
        lines.append(f"YouTube, {kind}, by persistence: {one['cpu_ms_per_step']:.2f} ms a step")
        for name, row in one["by_persistence"].items():
            told_ = "  ".join(f"{horizon} s {ratio:.3f}" for horizon, ratio in row.items())
            lines.append(f"  {name:12s} {told_}")
    for kind, one in figures.get("cold", {}).items():
        for sort, row in one.items():
            told_ = "  ".join(f"{minutes} min {ratio:.3f}" for minutes, ratio in row.items())
            lines.append(f"cold starts, {kind}, {sort}, the worst by persistence: {told_}")
    for kind, met in figures.get("bars", {}).items():
        lines.append(f"bars at 5 min, {kind}: " + ", ".join(f"{k} {v}" for k, v in met.items()))
    return "\n".join(lines)


def bars(world: dict[str, Any]) -> dict[str, Any]:
    """5 minutes ahead: what is met."""
    found = {}
    for kind, one in world.items():
        row = one["minutes"]["5"]
        met = {name: "met" if row[name] <= bar else "missed" for name, bar in BARS.items()}
        met["covers"] = "met" if 0.88 <= row["covers"] <= 0.92 else "missed"
        met["covers_rise"] = "met" if row["covers_rise"] >= 0.88 else "missed"
        found[kind] = met
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kinds", default="hedge,persistence")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--until-training", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--fits", type=Path, help="keep fitted models for next time")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    run: Run = FitStore(args.fits) if args.fits else run_here
    figures: dict[str, Any] = {}
    for name, path in (("world_cup", args.data / WC98), ("streams", args.data / YOUTUBE)):
        if not path.exists():
            print(f"{path} is not there: left out (--data DIR)", file=sys.stderr)
        elif args.cold:
            if name == "world_cup":
                figures["cold"] = cold(path, kinds)
        elif name == "world_cup":
            figures[name] = world_cup(path, kinds, args.until_training, run)
        else:
            figures[name] = streams(path, kinds)
    if "world_cup" in figures and not args.until_training:
        figures["bars"] = bars(figures["world_cup"])
    print(json.dumps(figures) if args.json else printed(figures))
    return 0 if figures else 1


if __name__ == "__main__":
    sys.exit(main())
