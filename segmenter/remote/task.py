"""One task of a worker: a channel's source is encoded here, and its cut sets pushed to its origin.

The front half of a channel (`segmenter.encoding`) with a sender behind it. What the channel's
viewers see of it the origin decides.
"""

from collections.abc import Callable
from dataclasses import dataclass

from segmenter.ingest.feeds import Feeds
from segmenter.ladder import Decided
from segmenter.machine import Machine
from segmenter.remote.spec import settings_of
from segmenter.source_info import SourceInfo
from segmenter.status import Status
from surgecast.clock import Clock
from surgecast.control.messages import RungSignature, Signature
from surgecast.control.transcoding import TaskOrder, TaskState
from surgecast.log import Log


@dataclass(slots=True)
class RemoteStatus:
    """What a worker may ask of a task; kept up to date while it runs."""

    state: TaskState = "starting"
    speed: float | None = None
    """Media seconds encoded a second, over the last seconds."""
    lag_s: float = 0.0
    media_s: float = 0.0
    """Media encoded in every rung since the encoder that runs now began."""
    pid: int | None = None
    """FFmpeg's process, where one runs."""
    runs: int = 0
    """Encoders started."""
    queue: int = 0
    """Cut sets that wait to be taken by the origin."""
    dropped: int = 0
    """Cut sets the origin was too slow or too long away for."""
    pushed_bytes: int = 0
    preset: str = ""
    shed: tuple[str, ...] = ()
    """Rungs it goes without, in the order in which they went."""
    source: SourceInfo | None = None
    decided: Decided | None = None
    error: str = ""
    """Why nothing is encoded or pushed; empty while all is well."""


class RemoteEncoding:
    """Encodes one channel and pushes it. `run` until cancelled or the lease is over."""

    def __init__(
        self,
        order: TaskOrder,
        *,
        ffmpeg: str,
        feeds: Feeds,
        machine: Machine,
        clock: Clock,
        token: str | None,
        cgroup: Callable[[int], None] | None = None,
    ) -> None:
        """`cgroup` is told the process of each encoder as it starts, to set its quota.

        Raises RemoteError for an order whose spec cannot be used.
        """
        self.order = order
        self._settings = settings_of(order.spec)
        self._ffmpeg = ffmpeg
        self._feeds = feeds
        self._machine = machine
        self._clock = clock
        self._token = token
        self._cgroup = cgroup
        self._state = Status()
        self._status = RemoteStatus(preset=order.preset or self._settings.ladder.preset)
        self._log = Log("segmenter.remote", channel=order.channel, lease=order.lease)

    @property
    def status(self) -> RemoteStatus:
        return self._status

    @property
    def signature(self) -> Signature | None:
        """What is encoded, as measured on the running task; None until source and ladder are
        known. Its complexity is for the worker to measure."""
        source, decided = self._status.source, self._status.decided
        if source is None or decided is None:
            return None
        rate = float(decided.ladder.frame_rate)
        return Signature(
            codec=source.codec,
            width=source.width,
            height=source.height,
            frame_rate=float(source.frame_rate or decided.ladder.frame_rate),
            source_bps=float(source.bitrate_bps or 0),
            preset=self._status.preset,
            low_latency=self._settings.low_latency.enabled,
            rungs=[
                RungSignature(
                    rung=rung.name,
                    width=rung.width,
                    height=rung.height,
                    frame_rate=rate,
                    video_bps=float(rung.video_bps),
                )
                for rung in decided.ladder.rungs
            ],
        )

    def change(self, order: TaskOrder) -> None:
        """The same task with another preset or other rungs to go without: the encoder makes room
        for one that has them. Its cores are the business of who set its quota."""
        self.order = order

    async def run(self) -> None:
        """Returns when the origin says that the lease is over (state `ended`).

        Raises SurgecastError where the task cannot be done at all (state `failed`).
        """
        raise NotImplementedError  # the sender comes with the origin's half
