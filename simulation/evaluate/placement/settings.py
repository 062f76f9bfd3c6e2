"""What the experiment is: workers, renditions, rules and times, from one YAML file. Values only."""

import json
from pathlib import Path

from pydantic import Field

from surgecast.config import Settings, load
from surgecast.control.messages import Label
from surgecast.errors import ConfigError
from surgecast.units import Bps, Seconds
from traffic_manager.placement.settings import PredictorKind

PACKAGED = Path(__file__).parent / "placement.yaml"
_KEPT = "experiment.json"


class WorkerSettings(Settings):
    """One worker, or several of one size."""

    worker: Label
    cores: float = Field(gt=0, le=64)
    count: int = Field(default=1, ge=1, le=100)


class RenditionSettings(Settings):
    """What one task makes."""

    rendition: Label
    width: int = Field(ge=16, le=7680)
    height: int = Field(ge=16, le=4320)
    video_bps: Bps


class SourceSettings(Settings):
    """What every task reads: a test picture under noise, encoded beforehand, in a loop."""

    width: int = Field(ge=16, le=7680)
    height: int = Field(ge=16, le=4320)
    frame_rate: int = Field(ge=1, le=120)
    noise: int = Field(ge=0, le=100)
    video_bps: Bps
    duration_s: Seconds


class StrategySettings(Settings):
    """The required range."""

    speed_min: float = Field(gt=0, le=1)
    cpu_max: float = Field(gt=0, le=1)
    confidence: float = Field(ge=0.5, lt=1)


class SamplingSettings(Settings):
    """When readings count."""

    constant_s: Seconds
    settle_s: Seconds
    scrape_s: Seconds
    cpu_min: float = Field(ge=0, lt=1)


class RequestSettings(Settings):
    """CPU limits and requests, as a container platform has them."""

    limit_speed: float = Field(gt=0, le=1)
    limit_step: float = Field(gt=0, le=1)
    limit_try_s: Seconds
    share: float = Field(gt=0, le=1)


class GridSettings(Settings):
    """Sets of tasks that are measured before the runs."""

    fleets: tuple[tuple[float, ...], ...] = Field(min_length=1, max_length=16)
    measure_s: Seconds
    load_min: float = Field(ge=0, le=2)
    load_max: float = Field(gt=0, le=4)
    repeat_every: int = Field(ge=2)
    held_out_every: int = Field(ge=2)


class LearningSettings(Settings):
    """How policies that learn do."""

    retrain_every_s: Seconds
    fit_every_s: Seconds
    worker_kind: PredictorKind
    cold_samples: int = Field(ge=1)
    forced_samples: int = Field(ge=1)
    trees: int = Field(ge=1, le=1000)
    static_fill: float = Field(gt=0, le=2)


class TraceSettings(Settings):
    """Who comes when."""

    arrivals_per_core: float = Field(gt=0, description="a minute")
    task_s_min: Seconds
    task_s_max: Seconds
    initial_per_core: float = Field(ge=0)


class ExperimentSettings(Settings):
    """The whole of it."""

    workers: tuple[WorkerSettings, ...] = Field(min_length=1, max_length=64)
    fleet_large: tuple[WorkerSettings, ...] = Field(min_length=1, max_length=64)
    renditions: tuple[RenditionSettings, ...] = Field(min_length=1, max_length=32)
    new_rendition: Label
    source: SourceSettings
    preset: Label
    strategy: StrategySettings
    sampling: SamplingSettings
    requests: RequestSettings
    grid: GridSettings
    learning: LearningSettings
    trace: TraceSettings


def read(path: Path | None = None, clock: float = 1.0) -> ExperimentSettings:
    """Raises ConfigError. With a `clock` of 0.5 everything happens in half the time, but for how
    long an encoder takes to settle."""
    found = load(path or PACKAGED, ExperimentSettings)
    return found if clock == 1.0 else _scaled(found, clock)


def keep(settings: ExperimentSettings, folder: Path) -> None:
    """Beside its records, so that no others come among them. Raises ConfigError."""
    path = folder / _KEPT
    text = json.dumps(settings.model_dump(mode="json"), indent=1) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            raise ConfigError(f"{folder} has records of another experiment ({_KEPT}); use another")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be kept: {error}") from error


def _scaled(settings: ExperimentSettings, clock: float) -> ExperimentSettings:
    sampling, learning, trace = settings.sampling, settings.learning, settings.trace
    return settings.model_copy(
        update={
            "sampling": sampling.model_copy(
                update={
                    "constant_s": max(sampling.constant_s * clock, 2 * sampling.settle_s),
                    "scrape_s": sampling.scrape_s * clock,
                }
            ),
            "learning": learning.model_copy(
                update={
                    "retrain_every_s": learning.retrain_every_s * clock,
                    "fit_every_s": learning.fit_every_s * clock,
                }
            ),
            "trace": trace.model_copy(
                update={
                    "arrivals_per_core": trace.arrivals_per_core / clock,
                    "task_s_min": trace.task_s_min * clock,
                    "task_s_max": trace.task_s_max * clock,
                }
            ),
        }
    )
