"""Raw records, one JSON object a line, so that a run can be stopped and continued at any time."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from simulation.evaluate.placement.engine import Carried
from simulation.evaluate.placement.samples import Measured, Predicted, TaskMeasured
from simulation.evaluate.placement.traces import Arrival
from surgecast.errors import ConfigError

Record = Mapping[str, Any]


class Records:
    """A file that only grows. A line that was cut off by the end of a process is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, record: Record) -> None:
        """One line, on disk when this returns."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                if file.tell() and not self._whole():
                    file.write("\n")
                file.write(json.dumps(record, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error}") from error

    def _whole(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    continue


def row_of(sample: Measured) -> dict[str, Any]:
    """A sample as JSON."""
    return {
        "at_s": round(sample.at_s, 3),
        "worker": sample.worker,
        "cores": sample.cores,
        "constant_s": round(sample.constant_s, 3),
        "speed_min": sample.speed_min,
        "cpu_cores": sample.cpu_cores,
        "predicted_speed": sample.predicted.speed,
        "predicted_cpu_share": sample.predicted.cpu_share,
        "tasks": [[one.task, one.rendition, one.speed, one.cores] for one in sample.tasks],
    }


def sample_of(row: Record) -> Measured:
    """What `row_of` gave."""
    return Measured(
        row["at_s"],
        row["worker"],
        row["cores"],
        row["constant_s"],
        row["speed_min"],
        row["cpu_cores"],
        tuple(TaskMeasured(*one) for one in row["tasks"]),
        Predicted(row["predicted_speed"], row["predicted_cpu_share"]),
    )


def row_of_carried(one: Carried) -> dict[str, Any]:
    """A task that runs on, as JSON."""
    arrival = one.arrival
    return {
        "task": arrival.task,
        "at_s": arrival.at_s,
        "rendition": arrival.rendition,
        "duration_s": arrival.duration_s,
        "worker": one.worker,
    }


def carried_of(row: Record) -> Carried:
    """What `row_of_carried` gave."""
    arrival = Arrival(row["task"], row["at_s"], row["rendition"], row["duration_s"])
    return Carried(arrival, row["worker"])
