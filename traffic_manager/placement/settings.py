"""What an operator can say of transcoding workers: targets, reservations, waits. Values only."""

from typing import Literal, Self

from pydantic import Field, model_validator

from surgecast.config import Settings
from surgecast.units import Seconds

PredictorKind = Literal[
    "svr_seed",
    "svr",
    "sgd",
    "forest",
    "boosting",
    "lightgbm",
    "lstm",
    "dqn",
    "dqn_per_worker",
    "mean_per_rendition",
    "load_curve",
]


class StrategySettings(Settings):
    """What a worker must keep, with a task more on it."""

    target: Literal["speed", "cpu", "both"] = Field(
        default="both", description="what must be kept: target_speed, cpu_max or both"
    )
    target_speed: float = Field(
        default=0.98,
        gt=0,
        le=1,
        description="media seconds encoded a second, by every task on a worker; "
        "a live source gives no more than 1",
    )
    cpu_max: float = Field(
        default=0.9, gt=0, le=1, description="share of a worker's cores that may be in use"
    )
    confidence: float = Field(
        default=0.9,
        ge=0.5,
        le=0.999,
        description="how sure a prediction must be; so much of its uncertainty is reserved too",
    )

    @property
    def ceiling(self) -> float:
        """Share of a worker's cores that may be in use, whatever the target is."""
        return 1.0 if self.target == "speed" else self.cpu_max


class QueueSettings(Settings):
    """Channels that wait for room."""

    waiting_max: int = Field(
        default=64, ge=1, le=1000, description="tasks that wait; the least urgent ones are refused"
    )
    wait_max_s: Seconds = Field(default=120.0, description="a task that waited longer is refused")
    retry_s: Seconds = Field(
        default=30.0, description="what was refused is tried again after this time, or when a "
        "worker joins"
    )  # fmt: skip


class AdjustSettings(Settings):
    """What happens to a task that falls behind its source, and when that is undone."""

    enabled: bool = Field(default=True, description="whether running tasks are adjusted")
    speed_min: float = Field(
        default=0.97, gt=0, le=1, description="a task that is slower than this falls behind"
    )
    speed_good: float = Field(
        default=0.99,
        gt=0,
        le=1,
        description="only a task that is as fast as this may be given more to do",
    )
    slow_after_s: Seconds = Field(
        default=3.0, le=8, description="how long it must be slow before something is done"
    )
    cooldown_s: Seconds = Field(
        default=5.0, le=9, description="pause after a step, in which it takes effect"
    )
    undo_after_s: Seconds = Field(
        default=30.0,
        description="how long there must be room before a step is undone; doubled by each that "
        "had to be taken again",
    )
    undo_after_max_s: Seconds = Field(default=600.0, description="upper bound of that")
    headroom: float = Field(
        default=1.15,
        ge=1,
        le=4,
        description="cores that a step must bring, or find, in multiples of what is needed",
    )

    @model_validator(mode="after")
    def _band_is_one(self) -> Self:
        if self.speed_good < self.speed_min:
            raise ValueError(
                f"speed_good {self.speed_good:g} is below speed_min; "
                f"allowed: {self.speed_min:g} or more"
            )
        if self.undo_after_max_s < self.undo_after_s:
            raise ValueError(
                f"undo_after_max_s {self.undo_after_max_s:g} is below undo_after_s; "
                f"allowed: {self.undo_after_s:g} or more"
            )
        return self


class PlacementSettings(Settings):
    """Which worker encodes which channel, with how many cores."""

    strategy: StrategySettings = StrategySettings()
    queue: QueueSettings = QueueSettings()
    adjust: AdjustSettings = AdjustSettings()
    predictor: PredictorKind = Field(
        default="load_curve",
        description="what predicts speed and CPU of a worker; the others are for comparison",
    )
    constant_s: Seconds = Field(
        default=30.0, description="a worker's tasks stay the same for this long before it is a "
        "sample to learn from"
    )  # fmt: skip
    unseen_cores: float = Field(
        default=1.0,
        gt=0,
        le=1024,
        description="what a task is thought to cost while nothing is known of its source",
    )
    report_every_s: Seconds = Field(
        default=1.0, ge=0.1, le=60, description="how often workers are told to report"
    )
    directive_ttl_s: Seconds = Field(
        default=10.0, description="how long workers go by what they were told last"
    )
    lost_after_s: Seconds = Field(
        default=3.0, ge=0.5, description="a worker that is silent this long is lost"
    )
    adoption_s: Seconds = Field(
        default=5.0, description="after a start nothing is placed for this long: workers report "
        "what runs first"
    )  # fmt: skip
    reservation_timeout_s: Seconds = Field(
        default=20.0, description="a task that does not run by then gives its cores back"
    )
    origin_silent_s: Seconds = Field(
        default=60.0, description="channels of an origin that is silent this long are ended"
    )
    retry_first_s: Seconds = Field(
        default=2.0, description="pause after a task that failed; doubled for each in a row"
    )
    retry_max_s: Seconds = Field(default=60.0, description="longest of these pauses")
    workers_max: int = Field(
        default=256, ge=1, le=10_000, description="workers known; reports of more are refused"
    )
    tasks_max: int = Field(
        default=1000, ge=1, le=100_000, description="channels that are encoded by workers"
    )
    ended_kept: int = Field(
        default=200, ge=0, le=10_000, description="tasks that are over and still shown"
    )

    @model_validator(mode="after")
    def _times_agree(self) -> Self:
        if self.lost_after_s < 2 * self.report_every_s:
            raise ValueError(
                f"lost_after_s {self.lost_after_s:g} ends before the next report but one; "
                f"allowed: {2 * self.report_every_s:g} or more (twice report_every_s)"
            )
        if self.adoption_s < self.lost_after_s:
            raise ValueError(
                f"adoption_s {self.adoption_s:g} ends before a worker that runs must have "
                f"reported; allowed: {self.lost_after_s:g} or more (lost_after_s)"
            )
        return self
