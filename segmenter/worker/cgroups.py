"""CPU quotas by control groups, in both versions of the kernel's interface.

A worker makes one group, with its own quota, and in it one for each task:

    {parent}/surgecast-worker.{worker}.{pid namespace}.{pid}.{start}/{number}.{task}

The name says whose it is: a process is told from a later one with its number by when it started.
So any worker can see that a group's owner is gone, end what still runs in it, and remove it; what
is not named like this is never touched. The worker itself stays outside: one that is held back by
its own tasks could neither empty their pipes nor report.

Version 1 (`cpu.cfs_quota_us`; CPU time under `cpuacct`, often mounted apart) and version 2
(`cpu.max`, `cpu.stat`), as in the kernel's admin-guide, cgroup-v1/cpuacct and cgroup-v2. In version
2 a group that has processes hands out nothing, so a worker that is in the parent itself moves into
a group beside its tasks: the parent must be ours alone (systemd: `Delegate=yes`).
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from surgecast.errors import LocalError
from surgecast.log import Log

_PREFIX = "surgecast-worker."
_PERIOD_US = 100_000
"""The kernel's own default: shorter ones cost more switches, longer ones hold a picture back."""
_QUOTA_MIN_US = 1_000
"""The kernel refuses less."""
_DEPTH_MAX = 3

_log = Log("segmenter.worker")


@dataclass(frozen=True, slots=True)
class Mounts:
    """Where the kernel shows control groups; another place in tests."""

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")


class _Version1:
    """A group is a folder under `cpu` and one under `cpuacct`, which may be the same."""

    def __init__(self, cpu: Path, accounts: Path) -> None:
        self._cpu, self._accounts = cpu, accounts
        self.folders: Sequence[Path] = tuple(dict.fromkeys((cpu, accounts)))

    def open(self, worker: str) -> None:
        """Nothing to arrange: a group here may have processes and groups alike."""

    def limit(self, name: str, cores: float | None) -> None:
        quota_us = -1 if cores is None else max(_QUOTA_MIN_US, round(cores * _PERIOD_US))
        _write(self._cpu / name / "cpu.cfs_period_us", str(_PERIOD_US))
        _write(self._cpu / name / "cpu.cfs_quota_us", str(quota_us))

    def cpu_s(self, name: str) -> float:
        return int(_read(self._accounts / name / "cpuacct.usage")) / 1e9

    def close(self) -> None:
        """Nothing was arranged."""


class _Version2:
    """A group is one folder; `cpu` must be handed down from group to group."""

    def __init__(self, parent: Path, proc: Path) -> None:
        self._parent, self._proc = parent, proc
        self._beside: Path | None = None
        self.folders: Sequence[Path] = (parent,)

    def open(self, worker: str) -> None:
        if "cpu" not in _read(self._parent / "cgroup.controllers").split():
            raise LocalError(f"{self._parent} has no cpu controller")
        if "cpu" not in _read(self._parent / "cgroup.subtree_control").split():
            try:
                _hand_down(self._parent)
            except OSError:  # it has processes: we are one of them
                self._move_beside(f"{worker}.self")
                _hand_down(self._parent)
        (self._parent / worker).mkdir()
        _hand_down(self._parent / worker)

    def _move_beside(self, name: str) -> None:
        beside = self._parent / name
        beside.mkdir()
        self._beside = beside
        _write(beside / "cgroup.procs", str(os.getpid()))

    def limit(self, name: str, cores: float | None) -> None:
        quota = "max" if cores is None else str(max(_QUOTA_MIN_US, round(cores * _PERIOD_US)))
        _write(self._parent / name / "cpu.max", f"{quota} {_PERIOD_US}")

    def cpu_s(self, name: str) -> float:
        words = _read(self._parent / name / "cpu.stat").split()
        return int(words[words.index("usage_usec") + 1]) / 1e6

    def close(self) -> None:
        """Back to where we came from, which hands out nothing any more then."""
        if self._beside is not None:
            with suppress(OSError):
                _write(self._parent / "cgroup.subtree_control", "-cpu")
                _write(self._parent / "cgroup.procs", str(os.getpid()))
                self._beside.rmdir()


class CgroupQuotas:
    """The group of one worker and those of its tasks."""

    kind: Literal["cgroup", "affinity", "none"] = "cgroup"

    def __init__(
        self,
        worker: str,
        cores: float | None,
        parent: Path | None = None,
        mounts: Mounts | None = None,
    ) -> None:
        """Raises LocalError where no group can be made or limited."""
        self._mounts = mounts or Mounts()
        self._cores = cores
        self._count = 0
        self._ended_s = 0.0
        self._tasks: list[_CgroupTask] = []
        self.name = f"{_PREFIX}{worker}.{_me(self._mounts.proc)}"
        """Of the worker's group, below its parent."""
        self.version = _found(parent, self._mounts)
        try:
            self.sweep()
            self.version.open(self.name)
            self.make(self.name, cores)
        except (OSError, ValueError) as error:
            self.close()
            raise LocalError(f"control group {self.name}: {error}") from error

    def make(self, name: str, cores: float | None) -> None:
        """A group with a quota. Raises OSError."""
        for folder in self.version.folders:
            (folder / name).mkdir(exist_ok=True)
        if cores is not None:
            self.version.limit(name, cores)

    def task(self, name: str, cores: float | None) -> "_CgroupTask":
        self._count += 1
        task = _CgroupTask(self, f"{self.name}/{self._count}.{name}", self.within(cores))
        self._tasks.append(task)
        return task

    def within(self, cores: float | None) -> float | None:
        """A group may not be given more than the one around it (version 1 refuses it)."""
        return cores if cores is None or self._cores is None else min(cores, self._cores)

    def ended(self, task: "_CgroupTask") -> None:
        if task in self._tasks:
            self._tasks.remove(task)
            self._ended_s += task.cpu_s()

    def cpu_s(self) -> float:
        return self._ended_s + sum(task.cpu_s() for task in self._tasks)

    def sweep(self) -> int:
        """Groups of workers that are gone: end what runs in them, remove them."""
        left = 0
        for parent in self.version.folders:
            for group in _groups_in(parent):
                if is_orphan(group.name, self._mounts.proc):
                    left += not _remove(group, kill=True)
        return left

    def close(self) -> None:
        for task in list(self._tasks):
            task.close()
        for parent in self.version.folders:
            if (group := parent / self.name).is_dir() and not _remove(group):
                _log.warning("a control group stays until the next worker starts", group=str(group))
        self.version.close()


class _CgroupTask:
    """The group of one task."""

    def __init__(self, quotas: CgroupQuotas, name: str, cores: float | None) -> None:
        self._quotas = quotas
        self._name = name
        self._cores: float | None = None
        self._last_s = 0.0
        try:
            quotas.make(name, None)
        except OSError as error:
            _log.warning("a task runs without a quota", group=name, reason=error)
        self.set_cores(cores)
        self._entries = [str(f / name / "cgroup.procs") for f in quotas.version.folders]

    @property
    def cores(self) -> float | None:
        return self._cores

    @property
    def cpus(self) -> None:
        """Those of the worker."""
        return None

    def set_cores(self, cores: float | None) -> None:
        wanted = self._quotas.within(cores)
        if wanted == self._cores:
            return
        try:
            self._quotas.version.limit(self._name, wanted)
            self._cores = wanted
        except OSError as error:
            _log.warning("a quota cannot be set", group=self._name, cores=wanted, reason=error)

    def enter(self) -> None:
        for entry in self._entries:
            with suppress(OSError):
                file = os.open(entry, os.O_WRONLY | os.O_CLOEXEC)
                os.write(file, b"0")
                os.close(file)

    def started(self, pid: int) -> None:
        """The kernel knows already."""

    def cpu_s(self) -> float:
        with suppress(OSError, ValueError):
            self._last_s = self._quotas.version.cpu_s(self._name)
        return self._last_s

    def close(self) -> None:
        self._quotas.ended(self)
        for parent in self._quotas.version.folders:
            _remove(parent / self._name)


# Where groups are, and whose.


def _found(parent: Path | None, mounts: Mounts) -> _Version1 | _Version2:
    """The interface of this machine and the group to work in. Raises LocalError."""
    ours = own_groups(mounts)
    if parent is not None and (parent / "cgroup.controllers").exists():
        return _Version2(parent, mounts.proc)
    cpu = parent or ours.get("cpu")
    if cpu is not None and (cpu / "cpu.cfs_quota_us").exists():
        accounts = ours.get("cpuacct", cpu)
        if parent is not None and (parent / "cpuacct.usage").exists():
            accounts = parent
        return _Version1(cpu, accounts)
    if parent is None and "" in ours and (ours[""] / "cgroup.controllers").exists():
        return _Version2(ours[""], mounts.proc)
    raise LocalError(f"no control group for CPU time at {parent or mounts.cgroups}")


def own_groups(mounts: Mounts) -> dict[str, Path]:
    """Controller ("" for version 2) -> the folder of our own group, as far as it can be seen.
    Raises OSError and ValueError."""
    groups: dict[str, Path] = {}
    text = (mounts.proc / "self" / "cgroup").read_text(encoding="utf-8")
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        base = mounts.cgroups / controllers
        folder = base / path.strip("/")
        # In a container the path is that of the host, and our own group is mounted at the top.
        for controller in controllers.split(","):
            groups[controller] = folder if folder.is_dir() else base
    return groups


def _me(proc: Path) -> str:
    pid = os.getpid()
    return f"{_pid_namespace(proc)}.{pid}.{_started(pid, proc)}"


def _pid_namespace(proc: Path) -> int:
    return (proc / "self" / "ns" / "pid").stat().st_ino


def _started(pid: int, proc: Path) -> int | None:
    """When a process started, in the kernel's ticks; None where there is none."""
    try:
        text = (proc / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _groups_in(parent: Path) -> Iterator[Path]:
    try:
        yield from sorted(parent.glob(f"{_PREFIX}*"))
    except OSError:
        return


def is_orphan(name: str, proc: Path) -> bool:
    """Whether the worker that made a group of this name is gone. Only those of our own pid
    namespace can be told: the number of another container's process means nothing here."""
    try:
        *_, namespace, pid, started = name.removesuffix(".self").split(".")
        if int(namespace) != _pid_namespace(proc):
            return False
        return _started(int(pid), proc) != int(started)
    except (OSError, ValueError):
        return False


def _remove(group: Path, *, kill: bool = False, depth: int = 0) -> bool:
    """Remove a group and those in it; whether it is gone. With `kill`, end what runs there: then
    it takes the kernel a moment, and another call."""
    if depth > _DEPTH_MAX:
        return False
    with suppress(OSError):
        for inner in [entry for entry in group.iterdir() if entry.is_dir()]:
            _remove(inner, kill=kill, depth=depth + 1)
    if kill:
        _end_all_in(group)
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _end_all_in(group: Path) -> None:
    with suppress(OSError, ValueError):
        for pid in map(int, _read(group / "cgroup.procs").split()):
            if pid > 0 and pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _hand_down(group: Path) -> None:
    _write(group / "cgroup.subtree_control", "+cpu")


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii")


def _write(path: Path, text: str) -> None:
    """One write: the kernel takes each as a command."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode("ascii"))
    finally:
        os.close(file)
