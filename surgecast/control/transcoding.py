"""The messages between a worker, which encodes, and the manager, which says what; as values.

A worker posts a `WorkerReport`; the answer is a `WorkerDirective`: all the tasks it is to run, with
the cores reserved for each, for `ttl_s` seconds. What it is not told of any more it ends; but when
the manager is away and the directive has run out, what runs goes on: an encoder is never ended for
want of a manager. A task carries a *lease*, a number that rises with each placement of its channel:
the origin takes media of the newest lease only, so that no channel is ever fed by two workers.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from surgecast.control.messages import Count, Label, Message, Rate, Signature, Span, Url

VERSION = 1
TASKS_MAX = 256

Cores = Annotated[float, Field(ge=0, le=4096, allow_inf_nan=False)]
Speed = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

TaskState = Literal["starting", "running", "ended", "failed"]
Role = Literal["primary", "backup"]


class TaskReport(Message):
    """One task of one worker."""

    task: Label
    channel: Label
    lease: Count
    state: TaskState
    speed: Speed | None = None
    """Media seconds encoded a second, over the last seconds; None until it is known."""
    speed_mean: Speed | None = None
    """The same since the configuration of the worker last changed."""
    cpu_cores: Cores = 0.0
    """Cores in use, over the last seconds."""
    cpu_cores_mean: Cores | None = None
    """The same since the configuration of the worker last changed."""
    lag_s: Span = 0.0
    """How far it is behind its source."""
    queue: Count = 0
    """Cut sets that wait to be taken by the origin."""
    ingress_bps: Rate = 0.0
    preset: Annotated[str, Field(max_length=16)] = ""
    shed: list[Label] = Field(default_factory=list, max_length=32)
    """Rungs it goes without, in the order in which they went."""
    signature: Signature | None = None
    """As measured on the running task."""
    error: Annotated[str, Field(max_length=500)] = ""


class WorkerReport(Message):
    """What one worker says of itself."""

    version: int = VERSION
    worker: Label
    boot: Label
    """Made anew at each start of the process: two workers with one name are told apart by it."""
    host: Label
    """The machine; a backup is not put on the machine of its primary where another one is."""
    region: Label = "default"
    sequence: Count
    sent_at_utc: Annotated[float, Field(allow_inf_nan=False)]
    uptime_s: Span
    cores: Cores
    """That it may use."""
    idle_cores: Cores
    cpu_cores: Cores
    """In use by its tasks together, over the last 60 s or since they last changed."""
    memory_bytes: Count
    memory_free_bytes: Count
    cpu_model: Annotated[str, Field(max_length=128)] = ""
    gpu_encoders: list[Label] = Field(default_factory=list, max_length=16)
    constant_s: Span = 0.0
    """Since tasks last started, stopped or were changed."""
    tasks: list[TaskReport] = Field(default_factory=list, max_length=TASKS_MAX)
    draining: bool = False
    """It wants to end: its tasks are to be moved."""


class TaskOrder(Message):
    """One task a worker is to run."""

    task: Label
    channel: Label
    lease: Count
    role: Role = "primary"
    origin: Url
    """Where its media is pushed to, below `/ingest/v1/{channel}`."""
    spec: dict[str, Any]
    cores: Cores
    """Reserved for it; its quota where the worker can set one."""
    preset: Annotated[str, Field(max_length=16)] = ""
    """Instead of that of the spec; empty for that."""
    shed: list[Label] = Field(default_factory=list, max_length=32)
    """Rungs it must go without."""


class WorkerDirective(Message):
    """What the manager wants of one worker, until `ttl_s` after it came."""

    version: int = VERSION
    id: str = Field(min_length=1, max_length=128)
    ttl_s: Span
    report_every_s: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)]
    tasks: list[TaskOrder] = Field(default_factory=list, max_length=TASKS_MAX)
    """All of them: a task that is not here is ended."""
    refused: Annotated[str, Field(max_length=500)] = ""
    """Why this worker gets no tasks, in words for its operator: as when another has its name."""
