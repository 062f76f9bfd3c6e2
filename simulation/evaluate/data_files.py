"""Reads the data sets that predictors are judged on: CSV files, packed or not.

Each loader says what is predicted, from which features, and which rows were left out. Only what is
known before an encode is a feature: no output size, no memory in use.
"""

import csv
import gzip
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from simulation.evaluate.dataset import DataSet, numbered
from simulation.evaluate.machine_specs import specs
from surgecast.errors import ConfigError
from traffic_manager.placement.costs.features import X264_OPTIONS, option_as_number
from traffic_manager.placement.costs.predictors.base import Table

Row = Mapping[str, str]
ROWS_MAX = 5_000_000
_FRAMES_PER_S = 30.0
_CODECS = ("h264", "hevc", "mpeg4", "vp8", "vp9", "flv")


def read(name: str, folder: Path, file: Path | None = None) -> DataSet:
    """A data set by its name, from a folder of that name below `folder`; `file` instead, where
    the set is one file. Raises ConfigError for what is not there or cannot be used."""
    if name not in _LOADERS:
        raise ConfigError(f"data {name!r}; allowed: {', '.join(DATA_SETS)}")
    if file is not None and name != "uci_transcoding_sample":
        raise ConfigError(f"--file is for uci_transcoding_sample; {name} is several files")
    place = folder / name
    if file is None and not place.is_dir():
        raise ConfigError(f"{place}: no such folder; --folder says where data sets are")
    try:
        found = _uci(file) if file is not None else _LOADERS[name](place)
    except (KeyError, ValueError, EOFError, gzip.BadGzipFile) as error:
        raise ConfigError(f"{file or place}: not the data set {name}: {error}") from error
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if len(found.table) == 0:
        raise ConfigError(f"{file or place}: no rows that can be used")
    return found


def _x264_ugc_cost(folder: Path) -> DataSet:
    """One machine, 1,397 videos, 201 settings each."""
    options = _options_of_configs(folder / "configs.csv")
    videos = {row["video"]: _video(row) for row in _rows(folder / "videos.csv.gz")}
    names = sorted({name for video in videos.values() for name in video})
    columns = (*names, "frames_log2", "input_bits_per_pixel_log2", *X264_OPTIONS)
    of_video: dict[tuple[str, str], list[float]] = {}
    matrix, cores, of = [], [], []
    for row in _rows(folder / "measurements.csv.gz"):
        video, frames = row["video"], float(row["frames"])
        if (video, row["frames"]) not in of_video:
            features = videos[video]
            density = features["input_bytes_log2"] + 3 - features["pixels_log2"] - math.log2(frames)
            of_video[video, row["frames"]] = [
                *(features.get(name, math.nan) for name in names), math.log2(frames), density
            ]  # fmt: skip
        matrix.append((of_video[video, row["frames"]], options[row["config"]]))
        cores.append(float(row["cpu_s"]) / frames * _FRAMES_PER_S)
        of.append(video)
    rows = np.asarray([[*content, *option] for content, option in matrix])
    return _data_set(
        "x264_ugc_cost", "cores for real time at 30 frames/s", columns, rows, cores, {"video": of}
    )


def _video(row: Row) -> dict[str, float]:
    """Content as YouTube-UGC describes it; logarithms too, as complexities spread over decades."""
    width, height = float(row["width"]), float(row["height"])
    found = {
        "pixels_log2": math.log2(width * height),
        "aspect_log2": math.log2(width / height),
        "color_complexity": float(row["color_complexity"]),
        "color_complexity_log": math.log(float(row["color_complexity"]) + 0.02),
        "spatial_complexity": float(row["spatial_complexity"]),
        "spatial_complexity_log": math.log(float(row["spatial_complexity"]) + 0.02),
        "temporal_complexity": float(row["temporal_complexity"]),
        "temporal_complexity_log": math.log(float(row["temporal_complexity"]) + 0.02),
        "chunk_variation_log": math.log(float(row["chunk_complexity_variation"]) + 0.1),
        "input_bytes_log2": _log2(row["input_size_bytes"]),
    }
    return found | {f"category_{name}": float(row["category"] == name) for name in _CATEGORIES}


_CATEGORIES = (
    "Animation", "CoverSong", "Gaming", "HDR", "HowTo", "Lecture", "LiveMusic", "LyricVideo",
    "MusicVideo", "NewsClip", "Sports", "TelevisionClip", "VR", "VerticalVideo", "Vlog",
)  # fmt: skip


def _x264_machines(folder: Path) -> DataSet:
    """30 machines, the same 1,608 encodes on each."""
    options = _options_of_configs(folder.parent / "x264_ugc_cost" / "configs.csv")
    machines = {row["machine"]: specs(row) for row in _rows(folder / "machines.csv")}
    videos: dict[str, int] = {}
    names = sorted({name for found in machines.values() for name in found})
    matrix, wall_s, of_machine, of_video, of_model = [], [], [], [], []
    for row in _rows(folder / "measurements.csv.gz"):
        machine = machines[row["machine"]]
        video = videos.setdefault(row["video"], len(videos))
        matrix.append((machine, video, options[row["config"]]))
        wall_s.append(float(row["wall_s"]))
        of_machine.append(row["machine"])
        of_video.append(row["video"])
        of_model.append(" ".join(f"{name}={value}" for name, value in machine.items()))
    columns = (*names, *(f"video_{number}" for number in range(len(videos))), *X264_OPTIONS)
    rows = np.asarray(
        [
            [
                *(machine[name] for name in names),
                *(float(video == number) for number in range(len(videos))),
                *option,
            ]
            for machine, video, option in matrix
        ]
    )
    groups = {"machine": of_machine, "machine_model": of_model, "video": of_video}
    return _data_set("x264_machines", "wall-clock seconds", columns, rows, wall_s, groups)


def _hls_segment_vm_times(folder: Path) -> DataSet:
    """Segments of two seconds on types of virtual machines; suspect rows are left out."""
    matrix, cost, of_video, of_vm, suspect = [], [], [], [], 0
    for row in _rows(folder / "vm_times.csv.gz"):
        if row["suspect"] != "0" or float(row["mean_s"]) <= 0 or float(row["duration_s"]) <= 0:
            suspect += 1
            continue
        matrix.append({
            "input_bits_per_s_log2": _log2(row["bitrate_kbps"]),
            "input_bytes_log2": _log2(row["size_kb"]),
            "out_height_log2": _log2(row["out_height"]),
            "out_frame_rate": float(row["out_fps"]),
            "out_hevc": float(row["out_codec"] == "hevc"),
            **_virtual_machine(row["vm"]),
        })  # fmt: skip
        cost.append(float(row["mean_s"]) / float(row["duration_s"]))
        of_video.append(row["video"])
        of_vm.append(row["vm"])
    table = Table.of(matrix, cost)
    return DataSet(
        "hls_segment_vm_times",
        "seconds to encode a second",
        Table(table.names, table.rows, table.values, numbered(of_video)),
        {"video": numbered(of_video), "machine": numbered(of_vm)},
        (f"{suspect} suspect rows left out (h264 and vp9: times hardly change with the size)",),
    )


def _virtual_machine(name: str) -> dict[str, float]:
    sizes = {"small": 0.0, "medium": 1.0, "large": 2.0, "xlarge": 3.0, "xxlarge": 4.0}
    return {
        "vm_amazon": float(name.startswith("AWS")),
        "vm_amd": float("m5a" in name),
        "vm_compute": float("c5" in name),
        "vm_size": sizes.get(name.rpartition("-")[2].lower(), 3.5),
    }


def _uci_transcoding_sample(folder: Path) -> DataSet:
    return _uci(folder / "first_999_rows.csv", folder / "other_rows_49.csv")


def _uci(*files: Path) -> DataSet:
    """UCI 335; also the whole `transcoding_mesurment.tsv`. Memory in use is an outcome."""
    matrix, cost, of, wrong = [], [], [], 0
    for row in (row for file in files for row in _rows(file)):
        seconds, duration_s = float(row["utime"]), float(row["duration"])
        if not (seconds > 0 and duration_s > 0):
            wrong += 1
            continue
        pixels = float(row["width"]) * float(row["height"])
        out_pixels = float(row["o_width"]) * float(row["o_height"])
        matrix.append({
            "pixels_log2": math.log2(pixels),
            "source_bits_per_pixel_log2": _log2(row["bitrate"]) - math.log2(pixels),
            "frame_rate": float(row["framerate"]),
            "out_pixels_log2": math.log2(out_pixels),
            "out_bitrate_log2": _log2(row["o_bitrate"]),
            "out_frame_rate": float(row["o_framerate"]),
            **{f"codec_{name}": float(row["codec"] == name) for name in _CODECS},
            **{f"out_codec_{name}": float(row["o_codec"] == name) for name in _CODECS},
        })  # fmt: skip
        cost.append(seconds / duration_s)
        of.append(row["id"])
    table = Table.of(matrix, cost)
    return DataSet(
        "uci_transcoding_sample",
        "CPU seconds for a second",
        Table(table.names, table.rows, table.values, numbered(of)),
        {"video": numbered(of)},
        (f"{wrong} rows without a time left out",) if wrong else (),
    )


_LOADERS: Mapping[str, Callable[[Path], DataSet]] = {
    "x264_ugc_cost": _x264_ugc_cost,
    "x264_machines": _x264_machines,
    "hls_segment_vm_times": _hls_segment_vm_times,
    "uci_transcoding_sample": _uci_transcoding_sample,
}
DATA_SETS = tuple(_LOADERS)


def _data_set(
    name: str,
    target: str,
    columns: Iterable[str],
    rows: np.ndarray,
    values: list[float],
    groups: Mapping[str, list[str]],
) -> DataSet:
    """Rows whose value cannot be are left out, and counted."""
    found = np.asarray(values)
    good = np.isfinite(found) & (found > 0)
    kept = {what: numbered([of[n] for n in np.flatnonzero(good)]) for what, of in groups.items()}
    table = Table(tuple(columns), rows[good], found[good], next(iter(kept.values())))
    wrong = int((~good).sum())
    return DataSet(name, target, table, kept, (f"{wrong} rows without a time",) if wrong else ())


def _options_of_configs(path: Path) -> dict[str, list[float]]:
    """The options of each setting as numbers."""
    return {
        row["config"]: [
            option_as_number(option, row["aq-mode" if option == "aq_mode" else option])
            for option in X264_OPTIONS
        ]
        for row in _rows(path)
    }


def _rows(path: Path) -> Iterator[Row]:
    with (
        path.open("rb") as raw,
        gzip.open(raw) if path.suffix == ".gz" else nullcontext(raw) as plain,
        io.TextIOWrapper(cast(BinaryIO, plain), encoding="utf-8", newline="") as text,
    ):
        separator = "\t" if path.name.removesuffix(".gz").endswith(".tsv") else ","
        for number, row in enumerate(csv.DictReader(text, delimiter=separator)):
            if number >= ROWS_MAX:
                raise ValueError(f"{path.name}: more than {ROWS_MAX} rows")
            yield row


def _log2(text: str) -> float:
    """NaN for what is not there."""
    number = float(text) if text else 0.0
    return math.log2(number) if number > 0 else math.nan
