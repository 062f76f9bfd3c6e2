"""What the machine has left: only our cores, no more than our quota, less what is reserved."""

import os
from pathlib import Path

import pytest

from segmenter.machine import Machine, ProcessMeter, RoomMeter, idle_s
from surgecast.clock import ManualClock

TICKS = os.sysconf("SC_CLK_TCK")
CORES = len(os.sched_getaffinity(0))


def stat(idle_ticks: int) -> str:
    """Every core of this machine with the same idle time, half of it waiting for a disk."""
    half = idle_ticks // 2
    cores = range(max(os.sched_getaffinity(0)) + 1)
    lines = [f"cpu{core} 10 20 30 {half} {idle_ticks - half} 0 0 0 0 0" for core in cores]
    return "\n".join(["cpu  1 2 3 4 5 6 7 8 9 10", *lines, "intr 1 2 3", ""])


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    (folder / "stat").write_text(stat(0))
    (folder / "self" / "cgroup").write_text("0::/box/inner\n")
    return folder


def test_only_the_cores_we_may_run_on_count() -> None:
    text = "cpu  0 0 0 999 999\ncpu0 0 0 0 300 100\ncpu1 0 0 0 700 0\ncpu10 0 0 0 5000 0\n"
    assert idle_s(text, {0}) == 400 / TICKS
    assert idle_s(text, {0, 1}) == 1100 / TICKS


def test_idle_cores_are_measured_from_one_reading_to_the_next(proc: Path, tmp_path: Path) -> None:
    clock = ManualClock()
    meter = RoomMeter(Machine(clock, proc, tmp_path), clock)
    assert meter.read().idle_cores == 0, "the first reading says nothing"
    clock.advance(2.0)
    (proc / "stat").write_text(stat(TICKS))
    assert meter.read().idle_cores == pytest.approx(CORES * 0.5)
    assert meter.read().cores == CORES


def test_a_share_of_the_machine_has_no_more_than_its_limit(proc: Path, tmp_path: Path) -> None:
    """What is idle beside a quota that is used up is not there for who has it."""
    clock, used_s = ManualClock(), [0.0]
    machine = Machine(clock, proc, tmp_path, within=lambda: (0.5, used_s[0]))
    meter = RoomMeter(machine, clock)
    meter.read()
    for share, idle in ((0.5, 0.0), (0.125, 0.375)):
        clock.advance(4.0)
        used_s[0] += 4.0 * share
        (proc / "stat").write_text(stat(round(clock.now()) * TICKS))
        assert meter.read().cores == 0.5
        assert meter.read().idle_cores == pytest.approx(idle)


def test_a_share_of_whole_cores_has_what_is_idle_on_these(proc: Path, tmp_path: Path) -> None:
    clock = ManualClock()
    meter = RoomMeter(Machine(clock, proc, tmp_path, cpus=lambda: {0}), clock)
    meter.read()
    clock.advance(2.0)
    (proc / "stat").write_text(stat(TICKS))
    assert (meter.read().cores, meter.read().idle_cores) == (1.0, pytest.approx(0.5))


def test_what_a_channel_reserved_is_not_idle_for_another(proc: Path, tmp_path: Path) -> None:
    clock = ManualClock()
    machine = Machine(clock, proc, tmp_path)
    meter = RoomMeter(machine, clock)
    meter.read()
    machine.reserve(0.25)
    clock.advance(1.0)
    (proc / "stat").write_text(stat(TICKS))
    assert meter.read().idle_cores == pytest.approx(CORES - 0.25)
    clock.advance(60.0)
    (proc / "stat").write_text(stat(61 * TICKS))
    assert meter.read().idle_cores == pytest.approx(CORES), "a reservation ends"


@pytest.mark.parametrize("version", [1, 2])
def test_the_quota_of_any_control_group_above_us_counts(
    proc: Path, tmp_path: Path, version: int
) -> None:
    clock = ManualClock()
    groups = tmp_path / "groups"

    def write(quota: int, used_s: float) -> None:
        if version == 2:
            folder = groups / "box"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "cpu.max").write_text(f"{quota} 100000\n")
            (folder / "cpu.stat").write_text(f"usage_usec {int(used_s * 1e6)}\nuser_usec 1\n")
            return
        (proc / "self" / "cgroup").write_text("3:memory:/box\n2:cpu,cpuacct:/box\n")
        folder = groups / "cpu,cpuacct" / "box"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")
        (folder / "cpuacct.usage").write_text(f"{int(used_s * 1e9)}\n")

    write(50_000, 7.0)
    meter = RoomMeter(Machine(clock, proc, groups), clock)
    meter.read()
    clock.advance(2.0)
    write(50_000, 7.8)
    (proc / "stat").write_text(stat(2 * TICKS))
    room = meter.read()
    assert room.cores == 0.5
    assert room.idle_cores == pytest.approx(0.1)


def test_no_quota_is_no_limit(proc: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups" / "box"
    groups.mkdir(parents=True)
    (groups / "cpu.max").write_text("max 100000\n")
    assert Machine(ManualClock(), proc, tmp_path / "groups").quota() is None


def thread(folder: Path, ticks: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    fields = ["0"] * 50
    fields[11], fields[12] = str(ticks // 2), str(ticks - ticks // 2)
    (folder / "stat").write_text(f"7 (a ) b) {' '.join(fields)}\n")


def test_a_process_and_its_busiest_thread(tmp_path: Path) -> None:
    clock = ManualClock()
    folder = tmp_path / "7"
    for name in ("7", "8"):
        thread(folder / "task" / name, 100)
    thread(folder, 200)
    meter = ProcessMeter(7, clock, tmp_path)
    assert meter.busiest_thread() == 0.0, "the first time says nothing"
    clock.advance(2.0)
    thread(folder / "task" / "8", 100 + TICKS)
    thread(folder, 200 + TICKS)
    assert meter.busiest_thread() == pytest.approx(0.5)
    assert meter.cpu_s() == 200 / TICKS + 1


def test_a_process_that_is_gone_is_no_error(tmp_path: Path) -> None:
    meter = ProcessMeter(7, ManualClock(), tmp_path)
    assert meter.cpu_s() is None
    assert meter.busiest_thread() == 0.0


def test_the_real_machine_can_be_read() -> None:
    clock = ManualClock()
    machine = Machine(clock)
    assert machine.idle_s()[0] > 0
    mine = ProcessMeter(os.getpid(), clock).cpu_s()
    assert mine is not None and mine > 0
