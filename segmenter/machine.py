"""What the machine has left, and what a process takes of it, as the kernel tells.

Only the cores that this process may run on count (`taskset`, cpusets), and no more than the quota
of its control group (containers). `Machine` is shared by all channels of a process: a channel that
brings a rung back reserves what it will cost, so that two do not spend the same idle core.
"""

import os
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from surgecast.clock import Clock

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_RESERVED_S = 15.0
"""By then what was reserved is in use, and the kernel's own numbers show it."""
_READ_EVERY_S = 0.25
"""The kernel counts in hundredths of a second: less says nothing."""


@dataclass(frozen=True, slots=True)
class Room:
    """The cores that we may use, and how many of them were idle."""

    cores: float
    idle_cores: float


class Machine:
    """Measures idle CPU from one asking to the next; a `Gauge` for each who asks."""

    def __init__(
        self,
        clock: Clock,
        proc: Path = _PROC,
        cgroups: Path = _CGROUPS,
        within: Callable[[], tuple[float, float] | None] | None = None,
        cpus: Callable[[], Collection[int]] | None = None,
    ) -> None:
        """A part of the machine that is not our own: `within` tells of its limit, cores allowed
        and CPU time used, None where nothing is limited; `cpus`, which cores it has."""
        self._within = within or (lambda: None)
        self._cpus = cpus or (lambda: os.sched_getaffinity(0))
        self._clock = clock
        self._proc = proc
        self._groups = _groups(proc, cgroups)
        self._reserved: deque[tuple[float, float]] = deque(maxlen=1000)

    def reserve(self, cores: float) -> None:
        """For a while, `cores` fewer are idle than the kernel says."""
        self._reserved.append((self._clock.now() + _RESERVED_S, cores))

    @property
    def reserved_cores(self) -> float:
        while self._reserved and self._reserved[0][0] <= self._clock.now():
            self._reserved.popleft()
        return sum(cores for _, cores in self._reserved)

    def idle_s(self) -> tuple[float, int]:
        """Idle time of the cores that we may use, since the machine started; and their number."""
        mine = self._cpus()
        text = (self._proc / "stat").read_text(encoding="ascii")
        return idle_s(text, mine), len(mine)

    def quota(self) -> tuple[float, float] | None:
        """Cores that the tightest control group allows, and CPU time it has used; None if free."""
        limits = [self._within, *(group.read for group in self._groups)]
        found = [read for limit in limits if (read := limit()) is not None]
        return min(found, default=None)


class RoomMeter:
    """One reader of a machine's idle CPU."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock
        self._last: tuple[float, float, float] | None = None
        self._room = Room(float(machine.idle_s()[1]), 0.0)

    def read(self) -> Room:
        """What was idle since the last time; nothing the first time."""
        now = self._clock.now()
        if self._last is not None and now - self._last[0] < _READ_EVERY_S:
            return self._room
        idle_s, cores = self._machine.idle_s()
        quota = self._machine.quota()
        used_s = quota[1] if quota else 0.0
        last, self._last = self._last, (now, idle_s, used_s)
        if last is None:
            return self._room
        passed_s = now - last[0]
        idle = min(float(cores), (idle_s - last[1]) / passed_s)
        allowed = float(cores)
        if quota is not None and quota[0] < allowed:
            allowed = quota[0]
            idle = min(idle, allowed - (used_s - last[2]) / passed_s)
        self._room = Room(allowed, max(0.0, idle - self._machine.reserved_cores))
        return self._room


class ProcessMeter:
    """CPU of one process and of its busiest thread."""

    def __init__(self, pid: int, clock: Clock, proc: Path = _PROC) -> None:
        self._folder = proc / str(pid)
        self._clock = clock
        self._at = clock.now()
        self._threads: dict[str, float] = {}
        self._first = True

    def cpu_s(self) -> float | None:
        """User and system time of all threads, those that ended included; None when it is gone."""
        return _cpu_s(self._folder / "stat")

    def busiest_thread(self) -> float:
        """Share of a core since the last time; 0 the first time."""
        now, before = self._clock.now(), self._threads
        try:
            tasks = list((self._folder / "task").iterdir())
        except OSError:
            return 0.0
        used = {task.name: _cpu_s(task / "stat") or 0.0 for task in tasks}
        passed_s, self._at, self._threads = now - self._at, now, used
        first, self._first = self._first, False
        if first or passed_s <= 0:
            return 0.0
        return max((s - before.get(name, 0.0) for name, s in used.items()), default=0.0) / passed_s


class _Group:
    """One control group with a quota, in either version of the kernel's interface."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> tuple[float, float] | None:
        """Cores allowed and CPU time used; None where nothing is limited."""
        try:
            if (limit := self._folder / "cpu.max").exists():
                quota, period = limit.read_text(encoding="ascii").split()
                if quota == "max":
                    return None
                stat = (self._folder / "cpu.stat").read_text(encoding="ascii").split()
                used_us = float(stat[stat.index("usage_usec") + 1])
                return float(quota) / float(period), used_us / 1e6
            quota = (self._folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            if int(quota) <= 0:
                return None
            period = (self._folder / "cpu.cfs_period_us").read_text(encoding="ascii")
            used_ns = (self._folder / "cpuacct.usage").read_text(encoding="ascii")
            return int(quota) / int(period), int(used_ns) / 1e9
        except (OSError, ValueError):
            return None


def _groups(proc: Path, cgroups: Path) -> list[_Group]:
    """Our control group and all above it: any of them may hold us back."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = cgroups / controllers if controllers else cgroups
        folder = base / path.strip("/")
        # In a container the path is that of the host, and our own group is mounted at the top.
        folders += [found for found in (folder, *folder.parents) if found.is_relative_to(base)]
    return [_Group(folder) for folder in dict.fromkeys(folders)]


def idle_s(stat: str, cores: Collection[int]) -> float:
    """From `/proc/stat`: idle time and waits for disks of `cores`."""
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            ticks += int(fields[3]) + int(fields[4])
    return ticks / _TICKS_PER_S


def _cpu_s(path: Path) -> float | None:
    try:
        fields = path.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
    except (OSError, ValueError, IndexError):
        return None
