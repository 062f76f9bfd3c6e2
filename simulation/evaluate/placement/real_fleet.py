"""Workers as CPU quotas on this machine, tasks as FFmpeg processes at native speed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segmenter.worker.quota import Quotas, TaskQuota, open_quotas
from simulation.evaluate.placement.progress import ProgressReader
from simulation.evaluate.placement.samples import Reading, TaskReading
from simulation.evaluate.placement.settings import ExperimentSettings, RenditionSettings
from simulation.evaluate.placement.traces import Worker
from surgecast.errors import LocalError
from surgecast.supervise import die_with_parent

_END_WAIT_S = 5.0


def task_command(
    ffmpeg: str, source: Path, rendition: RenditionSettings, settings: ExperimentSettings
) -> list[str]:
    """One source read at native speed, one rendition, nothing kept. One thread each, so that a
    task is one load of the machine and not several."""
    bps = str(rendition.video_bps)
    read = ["-re", "-stream_loop", "-1", "-threads", "1", "-i", str(source), "-an"]
    scale = f"scale={rendition.width}:{rendition.height}:flags=fast_bilinear"
    encode = ["-c:v", "libx264", "-preset", settings.preset, "-threads", "1"]
    rate = [
        "-b:v",
        bps,
        "-maxrate",
        bps,
        "-bufsize",
        bps,
        "-g",
        str(2 * settings.source.frame_rate),
    ]
    told = ["-v", "error", "-nostdin", "-nostats", "-stats_period", "0.5", "-progress", "pipe:1"]
    return [ffmpeg, *told, *read, "-vf", scale, *encode, *rate, "-f", "null", "-"]


@dataclass(slots=True)
class _Task:
    process: subprocess.Popen[bytes]
    quota: TaskQuota


class TracePace:
    """Real time, with the beginning of a slice at `from_s` of its trace."""

    def __init__(self, from_s: float = 0.0) -> None:
        self._offset_s = time.monotonic() - from_s

    def now(self) -> float:
        return time.monotonic() - self._offset_s

    def until(self, at_s: float) -> float:
        wait_s = at_s - self.now()
        if wait_s > 0:
            time.sleep(wait_s)
        return self.now()


class RealFleet:
    """Real workers. `limits` are CPU limits of tasks by rendition; none where they are sought."""

    def __init__(
        self,
        workers: Sequence[Worker],
        commands: Mapping[str, Sequence[str]],
        limits: Mapping[str, float],
        now: Callable[[], float],
    ) -> None:
        """Raises LocalError where this machine has no quotas for us."""
        self._commands, self._limits, self._now = commands, limits, now
        self._quotas: dict[str, Quotas] = {}
        self._tasks: dict[str, dict[str, _Task]] = {worker.worker: {} for worker in workers}
        self._progress = ProgressReader(now)
        try:
            for worker in workers:
                quotas = open_quotas("cgroup", f"bench-{worker.worker}", worker.cores)
                self._quotas[worker.worker] = quotas
                if quotas.kind != "cgroup":
                    raise LocalError("worker types are CPU quotas: no control group can be made")
        except BaseException:
            self.close()
            raise

    def start(self, worker: str, task: str, rendition: str) -> None:
        quota = self._quotas[worker].task(task, self._limits.get(rendition))
        read, write = os.pipe()
        try:
            process = subprocess.Popen(
                self._commands[rendition],
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=subprocess.DEVNULL,
                preexec_fn=die_with_parent(os.getpid(), quota),
            )
        except BaseException:
            os.close(read)
            quota.close()
            raise
        finally:
            os.close(write)
        quota.started(process.pid)
        self._tasks[worker][task] = _Task(process, quota)
        self._progress.add(task, read)

    def stop(self, worker: str, task: str) -> None:
        one = self._tasks[worker].pop(task)
        one.process.send_signal(signal.SIGKILL)
        one.process.wait(_END_WAIT_S)
        self._progress.remove(task)
        one.quota.close()

    def read(self, worker: str) -> Reading:
        tasks = {}
        for name, task in self._tasks[worker].items():
            if task.process.poll() is not None:
                raise LocalError(f"ffmpeg of task {name} ended with {task.process.returncode}")
            media_s, heard_s = self._progress.last(name)
            tasks[name] = TaskReading(media_s, heard_s, task.quota.cpu_s())
        return Reading(self._now(), self._quotas[worker].cpu_s(), tasks)

    def close(self) -> None:
        """End all that runs."""
        for worker, tasks in self._tasks.items():
            for task in list(tasks):
                self.stop(worker, task)
        self._progress.close()
        for quotas in self._quotas.values():
            quotas.close()
