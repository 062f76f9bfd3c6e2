"""Samples on record as a table for other programs: CSV, or Parquet (extra `parquet`, pyarrow).

One row for each task of each sample; the columns of its sample repeat. The ending of the file's
name says which of the two it is.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from surgecast.errors import LocalError
from traffic_manager.placement.costs.samples import Sample, TaskSample
from traffic_manager.record.history import ROWS_MAX, History

FORMS = (".csv", ".parquet")
COLUMNS: dict[str, str] = {
    "sample": "int64",
    "at_utc": "float64",
    "time": "string",
    "worker": "string",
    "worker_cores": "float64",
    "cpu_model": "string",
    "constant_s": "float64",
    "speed_min": "float64",
    "worker_cpu_cores": "float64",
    "tasks": "int64",
    "channel": "string",
    "preset": "string",
    "shed": "string",
    "speed": "float64",
    "cpu_cores": "float64",
    "cost_cores": "float64",
    "reserved_cores": "float64",
    "predicted_cores": "float64",
    "source_codec": "string",
    "source_width": "int64",
    "source_height": "int64",
    "frame_rate": "float64",
    "source_bps": "float64",
    "bits_per_pixel": "float64",
    "motion": "float64",
    "low_latency": "bool_",
    "rungs": "string",
}
"""Name and type (of Arrow), in order. `cost_cores` is what the task takes at real time."""


def export_samples(url: str, path: Path, after_utc: float = 0.0) -> int:
    """Write all samples of a history since a moment; how many rows. Raises LocalError."""
    if path.suffix not in FORMS:
        raise LocalError(f"{path}: ends in {path.suffix!r}; allowed: {', '.join(FORMS)}")
    history = History(url)
    new = path.with_name(path.name + ".new")
    try:
        rows = rows_of(_samples(history, after_utc))
        count = (_write_csv if path.suffix == ".csv" else _write_parquet)(new, rows)
        os.replace(new, path)
    except OSError as error:
        raise LocalError(f"{path}: cannot be written: {error}") from error
    finally:
        history.close()
    return count


def rows_of(samples: Iterable[Sample]) -> Iterator[dict[str, Any]]:
    """A row for each task."""
    for number, sample in enumerate(samples):
        shared = {
            "sample": number,
            "at_utc": sample.at_utc,
            "time": datetime.fromtimestamp(sample.at_utc, UTC).isoformat(timespec="seconds"),
            "worker": sample.worker,
            "worker_cores": sample.cores,
            "cpu_model": sample.cpu_model,
            "constant_s": sample.constant_s,
            "speed_min": sample.speed_min,
            "worker_cpu_cores": sample.cpu_cores,
            "tasks": len(sample.tasks),
        }
        for task in sample.tasks:
            yield shared | _task(task)


def _task(task: TaskSample) -> dict[str, Any]:
    found: dict[str, Any] = {
        "channel": task.channel,
        "preset": task.preset,
        "shed": " ".join(task.shed),
        "speed": task.speed,
        "cpu_cores": task.cores,
        "cost_cores": task.cost_cores,
        "reserved_cores": task.reserved_cores,
        "predicted_cores": task.predicted_cores,
    }
    signature = task.signature
    if signature is not None:
        complexity = signature.complexity
        found |= {
            "preset": task.preset or signature.preset,
            "source_codec": signature.codec,
            "source_width": signature.width,
            "source_height": signature.height,
            "frame_rate": signature.frame_rate,
            "source_bps": signature.source_bps,
            "bits_per_pixel": None if complexity is None else complexity.bits_per_pixel,
            "motion": None if complexity is None else complexity.motion,
            "low_latency": signature.low_latency,
            "rungs": json.dumps([rung.model_dump() for rung in signature.rungs]),
        }
    return found


def _samples(history: History, after_utc: float) -> Iterator[Sample]:
    """Page by page. What is no sample is left out."""
    while rows := history.samples(after_utc):
        for row in rows:
            try:
                yield Sample.of_row(row)
            except (ValueError, KeyError, TypeError):
                continue
        if len(rows) < ROWS_MAX:
            return
        # Of one moment there are never as many as a page has.
        after_utc = float(rows[-1]["at_utc"])


def _write_csv(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(COLUMNS), restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Raises LocalError where pyarrow is not installed."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise LocalError("there is no pyarrow: pip install 'surgecast[parquet]'") from error
    schema, count = arrow.schema([(n, getattr(arrow, kind)()) for n, kind in COLUMNS.items()]), 0
    with parquet.ParquetWriter(path, schema) as writer:
        for block in _blocks(rows):
            writer.write_table(arrow.Table.from_pylist(block, schema=schema))
            count += len(block)
    return count


def _blocks(rows: Iterable[dict[str, Any]], size: int = 5000) -> Iterator[Sequence[dict[str, Any]]]:
    block: list[dict[str, Any]] = []
    for row in rows:
        block.append(row)
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block
