"""Reads traces from CSV, plain or gzip: named columns, one or several series in a file."""

import csv
import gzip
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from simulation.backtest.trace import Sample, Trace, made_even
from surgecast.errors import ConfigError

TIME_COLUMNS = ("t_s", "at_s", "time", "timestamp", "minute", "date")
VALUE_COLUMNS = ("viewers", "requests", "wanted_bps", "egress_bps", "value")
SERIES_COLUMNS = ("stream", "series", "channel", "region")
ROWS_MAX = 5_000_000
SERIES_MAX = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What to take from a file; None: by its name, as listed above."""

    column: str | None = None
    series: frozenset[str] | None = None
    """Only these."""
    step_s: float | None = None
    """None: as the samples are spaced."""
    counter: bool = False


@dataclass(frozen=True, slots=True)
class _Columns:
    time: int
    value: int
    series: int | None


def read(path: Path, reading: Reading) -> list[Trace]:
    """Every series in the file. Raises ConfigError naming file, line and field."""
    try:
        with _opened(path) as lines:
            samples = _samples(path, csv.reader(lines), reading)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not samples:
        wanted = f" of series {', '.join(sorted(reading.series))}" if reading.series else ""
        raise ConfigError(f"{path}: no rows{wanted}")
    stem = path.name.removesuffix(".gz").removesuffix(".csv")
    return [
        made_even(
            f"{stem}:{name}" if name else stem,
            rows,
            step_s=reading.step_s,
            counter=reading.counter,
        )
        for name, rows in samples.items()
    ]


def parsed_time(text: str) -> float:
    """Seconds, or an ISO 8601 date and time (UTC unless it says otherwise). Raises ValueError."""
    try:
        at_s = float(text)
    except ValueError:
        when = datetime.fromisoformat(text.strip())
        at_s = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(at_s):
        raise ValueError(f"{text} is no time")
    return at_s


def _opened(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _samples(
    path: Path, rows: Iterable[Sequence[str]], reading: Reading
) -> dict[str, list[Sample]]:
    table = enumerate(rows, start=1)
    _, header = next(table, (0, ()))
    columns = _columns(path, [name.strip() for name in header], reading)
    found: dict[str, list[Sample]] = {}
    for line, row in table:
        if not row:
            continue
        if line > ROWS_MAX:
            raise ConfigError(f"{path}: more than {ROWS_MAX} lines")
        if len(row) != len(header):
            raise ConfigError(
                f"{path}, line {line}: {len(row)} fields; the first line names {len(header)}"
            )
        series = row[columns.series] if columns.series is not None else ""
        if reading.series is None or series in reading.series:
            found.setdefault(series, []).append(_sample(path, line, header, row, columns))
            if len(found) > SERIES_MAX:
                raise ConfigError(f"{path}, line {line}: more than {SERIES_MAX} series")
    return found


def _columns(path: Path, header: Sequence[str], reading: Reading) -> _Columns:
    listed = ", ".join(header) or "nothing"
    time = _first(header, TIME_COLUMNS)
    if time is None:
        raise ConfigError(
            f"{path}, line 1: no column of times among {listed}; allowed: {', '.join(TIME_COLUMNS)}"
        )
    series = _first(header, SERIES_COLUMNS)
    if reading.column is not None:
        value = _first(header, (reading.column,))
    else:
        others = [name for place, name in enumerate(header) if place not in (time, series)]
        value = _first(header, VALUE_COLUMNS if len(others) != 1 else tuple(others))
    if value is None:
        wanted = reading.column or f"one of {', '.join(VALUE_COLUMNS)} or --column"
        raise ConfigError(f"{path}, line 1: no column {wanted}; it has {listed}")
    if reading.series is not None and series is None:
        raise ConfigError(
            f"{path}, line 1: no column of series among {listed}; "
            f"allowed: {', '.join(SERIES_COLUMNS)}"
        )
    return _Columns(time, value, series)


def _first(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _sample(
    path: Path, line: int, header: Sequence[str], row: Sequence[str], columns: _Columns
) -> Sample:
    place = f"{path}, line {line}"
    try:
        at_s = parsed_time(row[columns.time])
    except (ValueError, OverflowError):
        raise ConfigError(
            f"{place}: {header[columns.time]} is {row[columns.time]!r}; "
            "allowed: seconds, or a date and time as 1998-06-10T17:30"
        ) from None
    text = row[columns.value].strip()
    try:
        value = float(text) if text else math.nan
    except ValueError:
        value = -1.0
    if value < 0 or math.isinf(value):
        raise ConfigError(
            f"{place}: {header[columns.value]} is {text!r}; allowed: a number from 0 on, or nothing"
        )
    return Sample(line, at_s, value)
