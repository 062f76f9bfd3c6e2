"""Builds the shipped prior from public measurements: the same bytes each time.

    python -m scripts.build_prior ../shared/data traffic_manager/placement/costs/prior/x264.model

Reads `x264_ugc_cost` (1,397 videos x 201 settings) and `x264_machines` (30 machine types), both
MIT (c) 2023 Luc Lesoil. Settings 1 to 9 of the data are x264's presets ultrafast to veryslow,
option by option. Prints errors on folds by video.
"""

import argparse
import csv
import gzip
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from traffic_manager.placement.costs.model_store import StoredModel, packed
from traffic_manager.placement.costs.prior_model import FORMAT, KIND, terms

Values = NDArray[np.float64]
Row = Mapping[str, str]

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
"""Setting n of the data is preset n."""
_FRAMES_MIN, _CPU_MIN_S = 30, 0.05
"""Clips of some frames, and times of some ticks, say nothing."""
_FOLDS = 5
_RIDGE = 1e-3
# Measured with FFmpeg by `bench/prior.py`, which prints them, on an "AMD EPYC" with 2 busy cores.
_LIVE_LOG = {
    "ultrafast": -0.62,
    "superfast": -0.73,
    "veryfast": -0.72,
    "faster": -0.40,
    "fast": -0.32,
    "medium": -0.25,
    "slow": -0.09,
    "slower": -0.09,
    "veryslow": -0.09,
}
"""Logarithms of what live encodes take over what the data says: no B-frames, no reading of raw
pictures, few threads instead of 64. `fast` is between its neighbours, beyond `slow` as `slow`."""
_LIVE_SIGMA_LOG = 0.25
"""By how much sources that had no part in these figures were off."""
_PROBE_LOG = -0.42
"""Bits of an ultrafast encode at CRF 26, as a worker probes, over those at 23, as in the data."""
_FRONT = {
    "decode_s_per_pixel": 2.2e-9,
    "scale_s_per_source_pixel": 0.7e-9,
    "scale_s_per_pixel": 0.6e-9,
    "shrink_exponent": 0.4,
    "task_cores": 0.02,
}
"""What is not in the data: CPU seconds a pixel to decode H.264 and to scale, and how bits a pixel
rise when a picture is made smaller; and the cores of a task beside its pictures: sound, muxing,
pipes, its process."""
_KNOWN_SIGMA_LOG = 0.1
"""Of the speed of a machine of the data: single runs, on another system."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with x264_ugc_cost and x264_machines")
    parser.add_argument("model", type=Path, help="the file to write")
    args = parser.parse_args(argv)
    content = json.dumps(built(args.data), indent=1).encode()
    args.model.write_bytes(packed(StoredModel(KIND, 1, 0.0, content, "", {"made_by": __name__})))


def built(data: Path) -> dict[str, Any]:
    """The prior, as JSON."""
    costs = data / "x264_ugc_cost"
    videos = {row["video"]: row for row in _rows(costs / "videos.csv.gz")}
    rows = [row for row in _rows(costs / "measurements.csv.gz") if _usable(row)]
    points, logs, settings, names = _encodes(rows, videos)
    centre = np.round(points.mean(axis=0), 3)
    low, high = np.quantile(points, (0.01, 0.99), axis=0)
    probed = [_frame_bits(r) / _pixels(videos[r["video"]]) for r in rows if r["config"] == "1"]
    complexity = np.quantile(np.log(probed), (0.01, 0.99)) + _PROBE_LOG
    ranges = np.vstack([np.stack([low, high], axis=1), complexity])
    presets = {}
    for number, preset in enumerate(PRESETS, start=1):
        mine = settings == number
        fitted = _polynomial(preset, points[mine] - centre, logs[mine], names[mine])
        presets[preset] = {"encode": fitted, "live_log": _LIVE_LOG[preset]}
    return {
        "format": FORMAT,
        "data": "x264_ugc_cost, x264_machines: MIT (c) 2023 Luc Lesoil; see NOTICE.txt",
        "presets": presets,
        "live_sigma_log": _LIVE_SIGMA_LOG,
        "centre": dict(zip(("pixels", "made"), centre.tolist(), strict=True)),
        "range": dict(zip(("pixels", "made", "probed"), np.round(ranges, 4).tolist(), strict=True)),
        "level": _level(data / "x264_machines"),
        "front": _FRONT,
    }


def _rows(path: Path) -> Iterator[Row]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    yield from csv.DictReader(text.splitlines())


def _usable(row: Row) -> bool:
    return int(row["frames"]) >= _FRAMES_MIN and float(row["cpu_s"]) > _CPU_MIN_S


def _frame_bits(row: Row) -> float:
    return float(row["size_bytes"]) * 8 / int(row["frames"])


def _pixels(video: Row) -> int:
    return int(video["width"]) * int(video["height"])


def _encodes(
    rows: Sequence[Row], videos: Mapping[str, Row]
) -> tuple[Values, Values, NDArray[np.int64], NDArray[np.str_]]:
    """Inputs, log CPU seconds a picture, setting and video of each encode with a preset."""
    chosen = [row for row in rows if int(row["config"]) <= len(PRESETS)]
    pixels = np.asarray([_pixels(videos[row["video"]]) for row in chosen])
    bits = np.asarray([_frame_bits(row) for row in chosen])
    points = np.stack([np.log(pixels), np.log(bits / pixels)], axis=1)
    spent_s = np.asarray([float(row["cpu_s"]) / int(row["frames"]) for row in chosen])
    settings = np.asarray([int(row["config"]) for row in chosen])
    return (
        points,
        np.log(spent_s, dtype=np.float64),
        settings,
        np.asarray([row["video"] for row in chosen]),
    )


def _polynomial(what: str, points: Values, logs: Values, names: NDArray[np.str_]) -> dict[str, Any]:
    """Weights of all, spread of what folds by video found."""
    columns = np.asarray([terms(point) for point in points.tolist()])
    order = np.random.default_rng(0).permutation(np.unique(names))
    fold_of = {name: place % _FOLDS for place, name in enumerate(order)}
    folds = np.asarray([fold_of[name] for name in names])
    errors = np.empty(len(logs))
    for fold in range(_FOLDS):
        held = folds == fold
        errors[held] = columns[held] @ _ridge(columns[~held], logs[~held]) - logs[held]
    mape = 100 * float(np.mean(np.abs(np.exp(errors) - 1)))
    _say(f"{what}: MAPE {mape:.1f} %, sigma of the logarithm {errors.std():.3f}")
    weights = [round(float(weight), 6) for weight in _ridge(columns, logs)]
    return {"weights": weights, "sigma_log": round(float(errors.std()), 4)}


def _ridge(columns: Values, logs: Values) -> Values:
    found: Values = np.linalg.solve(
        columns.T @ columns + _RIDGE * np.eye(columns.shape[1]), columns.T @ logs
    )
    return found


def _level(machines: Path) -> dict[str, Any]:
    """How slow machines are, relative to the mean of them, by the name of their processor."""
    models = {row["machine"]: row["model_name"].strip() for row in _rows(machines / "machines.csv")}
    logs: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for row in _rows(machines / "measurements.csv.gz"):
        if int(row["config"]) <= len(PRESETS):
            logs[row["machine"]][row["video"], row["config"]] = math.log(float(row["wall_s"]))
    cells = sorted(set.intersection(*(set(found) for found in logs.values())))
    mean = {cell: np.mean([found[cell] for found in logs.values()]) for cell in cells}
    offsets: dict[str, list[float]] = defaultdict(list)
    for machine, found in logs.items():
        offsets[models[machine]].append(float(np.mean([found[c] - mean[c] for c in cells])))
    spread = float(np.std([offset for each in offsets.values() for offset in each]))
    _say(f"machines: sigma of the logarithm {spread:.3f} over {len(logs)}")
    return {
        "sigma_log": round(spread, 4),
        "known_sigma_log": _KNOWN_SIGMA_LOG,
        "machines": {model: round(float(np.mean(each)), 4) for model, each in offsets.items()},
    }


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
