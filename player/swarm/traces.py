"""Recorded audiences and access networks, read from CSV files, gzip-compressed or not."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path

from surgecast.errors import ConfigError

Samples = dict[str, list[tuple[float, float]]]
"""Name of the series ("" where a file has only one) -> (seconds, value)."""
ROWS_MAX = 5_000_000


def read_series(path: Path, name: str, value: str) -> Samples:
    """Columns `t_s` and `value`, one series per different text in column `name` if there is one.

    Raises ConfigError with the file, the line and what was expected.
    """
    found: Samples = defaultdict(list)
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"t_s", value} - set(rows.fieldnames or ())
            if missing:
                raise ConfigError(f"{path}: expected columns t_s and {value}")
            for number, row in enumerate(rows, 2):
                if number > ROWS_MAX:
                    raise ConfigError(f"{path}: more than {ROWS_MAX} lines")
                try:
                    sample = (float(row["t_s"]), float(row[value]))
                except (TypeError, ValueError):
                    text = f"{path}, line {number}: expected numbers in t_s and {value}"
                    raise ConfigError(text) from None
                found[row.get(name) or ""].append(sample)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not found:
        raise ConfigError(f"{path}: no lines")
    return dict(found)


def viewers_of(path: Path, stream: str | None = None) -> list[tuple[float, float]]:
    """An audience: columns t_s and viewers, and stream where there are several."""
    series = read_series(path, "stream", "viewers")
    if stream is None and len(series) > 1:
        raise ConfigError(f"{path}: several streams: name one with stream=: {_names(series)}")
    if stream is not None and stream not in series:
        raise ConfigError(f"{path}: stream: expected one of {_names(series)}, found {stream!r}")
    return series[next(iter(series)) if stream is None else stream]


def networks_of(path: Path) -> list[list[tuple[float, float]]]:
    """Links: columns t_s and mbps, and trace where there are several."""
    return list(read_series(path, "trace", "mbps").values())


def _names(series: Samples) -> str:
    return ", ".join(list(series)[:20])
