"""What the API takes and gives of workers and their tasks, as models."""

from pydantic import Field

from surgecast.control.messages import Label, Signature
from surgecast.control.transcoding import Role
from traffic_manager.api.models import Answer, Body
from traffic_manager.placement.tasks import State


class WorkerAnswer(Answer):
    """One worker."""

    worker: str
    host: str
    region: str
    boot: str
    here: bool = Field(description="false: it was lost")
    draining: bool
    reported_ago_s: float
    cores: float
    reserved_cores: float
    cpu_cores: float = Field(description="in use by its tasks")
    idle_cores: float
    memory_bytes: int
    memory_free_bytes: int
    cpu_model: str
    gpu_encoders: list[str]
    constant_s: float = Field(description="since its tasks last changed")
    tasks: list[str]


class WorkersAnswer(Answer):
    workers: list[WorkerAnswer]


class TaskAnswer(Answer):
    """One task, with what was predicted and what came of it."""

    task: str
    channel: str
    role: Role
    lease: int
    state: State
    state_for_s: float
    worker: str
    decision: str = Field(description="that placed it; empty where it was adopted")
    follows: str = Field(description="the task that runs until this one is taken")
    reason: str
    predicted_cores: float | None
    predicted_cores_high: float | None = Field(
        description="not above this, with the confidence of the strategy"
    )
    predicted_by: str
    reserved_cores: float
    realised_cores: float | None = Field(description="mean since its worker's tasks last changed")
    speed: float | None
    speed_mean: float | None
    lag_s: float | None
    queue: int | None
    ingress_bps: float | None
    preset: str = Field(description="instead of that of its channel; empty for that")
    shed: list[str] = Field(description="rungs it was told to go without")
    own_shed: list[str] = Field(description="rungs its encoder left out of its own accord")


class RefusalAnswer(Answer):
    """A channel that could not be placed."""

    channel: str
    role: Role
    why: str


class TasksAnswer(Answer):
    adopting: bool = Field(description="workers are still to say what they run")
    tasks: list[TaskAnswer]
    refusals: list[RefusalAnswer]
    over: list[TaskAnswer] = Field(description="the last ones that ended or failed")


class FitAnswer(Answer):
    """What was found of one worker."""

    worker: str
    fits: bool
    why: str
    cores: float
    sigma_log: float
    known: str
    reserve_cores: float
    free_cores: float
    speed: float
    cpu_share: float


class RemedyAnswer(Answer):
    """What would fit."""

    kind: str
    text: str
    preset: str
    shed: list[str]
    cores: float
    worker: str


class PlacementAnswer(Answer):
    """The choice of a worker."""

    channel: str
    kind: str = Field(description="placed, wait or refused")
    dry_run: bool
    why: str
    worker: str | None
    cores: float | None = Field(description="predicted")
    cores_low: float | None = Field(description="one standard deviation below")
    cores_high: float | None = Field(description="one standard deviation above")
    known: str = Field(description="what the prediction goes by")
    reserve_cores: float | None
    considered: list[FitAnswer]
    remedies: list[RemedyAnswer]


class PlacementBody(Body):
    """A task that is to be placed, or might be."""

    channel: Label
    signature: Signature | None = Field(
        default=None, description="of a channel that no origin wants yet"
    )
    backup: bool = False
    dry_run: bool = Field(
        default=True, description="false: a channel that is wanted and waits is tried at once"
    )


class MoveBody(Body):
    """Where a channel is to be encoded."""

    worker: Label | None = Field(default=None, description="null: any other one that fits")
    backup: bool = False


class DriftAnswer(Answer):
    """An alarm, and what was done."""

    at_utc: float
    action: str
    text: str


class VersionAnswer(Answer):
    """What was known at some time."""

    version: int
    made_at_utc: float
    samples: int | None
    error: float | None = Field(description="mean relative error of predictions of cores then")
    of_version: int | None = Field(description="the one that was gone back to; null where none was")


class CostsAnswer(Answer):
    """What was learned of transcoding."""

    samples: int
    error: float | None = Field(
        description="mean relative error of the last predictions of cores; null before the first"
    )
    channels: dict[str, float] = Field(description="cost over what the prior says")
    workers: dict[str, float] = Field(description="the same of machines")
    drift: list[DriftAnswer]
    versions: list[VersionAnswer] = Field(description="on disk, newest first")


class CostsBody(Body):
    """Which version goes on."""

    version: int
