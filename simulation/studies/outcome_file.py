"""An outcome as JSON, and back: what `surgecast simulate --json` writes and `--against` reads."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from simulation.studies.outcome import MEASURES, Band, Course, Outcome, Run
from surgecast.errors import ConfigError, LocalError

VERSION = 1
BYTES_MAX = 200_000_000
_DIGITS = 6
"""Significant ones of a series: a picture shows four."""


def write(path: Path, outcome: Outcome) -> None:
    """Raises LocalError."""
    try:
        path.write_text(json.dumps(as_dict(outcome)) + "\n", encoding="utf-8")
    except OSError as error:
        raise LocalError(f"{path}: cannot be written: {error.strerror}") from error


def read(path: Path) -> Outcome:
    """Raises ConfigError that says what was expected."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ConfigError(f"{path}: longer than {BYTES_MAX} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: expected JSON of `surgecast simulate --json`") from error
    if not isinstance(values, dict) or "surgecast_simulation" not in values:
        raise ConfigError(f"{path}: not written by `surgecast simulate --json`")
    if values["surgecast_simulation"] != VERSION:
        raise ConfigError(
            f"{path}: version {values['surgecast_simulation']!r}; this program reads {VERSION}. "
            "Run the scenario again with it"
        )
    try:
        return _outcome(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{path}: damaged: {type(error).__name__} {error}; write it anew"
        ) from error


def as_dict(outcome: Outcome) -> dict[str, Any]:
    return {
        "surgecast_simulation": VERSION,
        "name": outcome.name,
        "about": outcome.about,
        "origin_bps": outcome.origin_bps,
        "relay_bps": outcome.relay_bps,
        "summary": {policy: _summary(outcome, policy) for policy in outcome.policies},
        "runs": [
            {
                "policy": run.policy,
                "seed": run.seed,
                "totals": dict(run.totals),
                "overload_at_s": run.overload_at_s,
                "serving_at_s": run.serving_at_s,
                "digest": run.digest,
            }
            for run in outcome.runs
        ],
        "courses": {policy: _course(course) for policy, course in outcome.courses.items()},
    }


def _summary(outcome: Outcome, policy: str) -> dict[str, Any]:
    """For whoever reads the file without this program; `read` does not."""
    names = ("median", "least", "most")
    measures: dict[str, Any] = {
        measure: dict(zip(names, outcome.spread(policy, measure), strict=True))
        for measure in MEASURES
    }
    for name, (seeds, runs) in (
        ("in_time", outcome.in_time(policy)),
        ("never_short", outcome.never_short(policy)),
    ):
        measures[name] = {"seeds": seeds, "of": runs}
    return measures


def _course(course: Course) -> dict[str, Any]:
    return {
        "at_s": _numbers(course.at_s),
        "bands": {
            name: {
                "middle": _numbers(band.middle),
                "least": _numbers(band.least),
                "most": _numbers(band.most),
            }
            for name, band in course.bands.items()
        },
    }


def _numbers(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[float | None]:
    """JSON has no NaN (the quality of nobody's picture)."""
    return [
        float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()
    ]


def _series(values: list[float | None]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([math.nan if value is None else float(value) for value in values])


def _outcome(values: dict[str, Any]) -> Outcome:
    runs = tuple(
        Run(
            str(run["policy"]),
            int(run["seed"]),
            {name: float(run["totals"][name]) for name in MEASURES},
            run["overload_at_s"],
            run["serving_at_s"],
            str(run["digest"]),
        )
        for run in values["runs"]
    )
    courses = {
        policy: Course(
            _series(course["at_s"]),
            {
                name: Band(*(_series(band[part]) for part in ("middle", "least", "most")))
                for name, band in course["bands"].items()
            },
        )
        for policy, course in values["courses"].items()
    }
    if {run.policy for run in runs} != set(courses) or not runs:
        raise ValueError("runs and courses are of different policies")
    return Outcome(
        str(values["name"]),
        str(values["about"]),
        runs,
        courses,
        relay_bps=float(values["relay_bps"]),
        origin_bps=float(values["origin_bps"]),
    )
