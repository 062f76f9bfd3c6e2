"""Whatever kind of quota a worker has: its tasks' children are within it, what they use is counted,
and nothing stays when it ends."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from segmenter.worker.cgroups import CgroupQuotas
from segmenter.worker.quota import Kind, Quotas, TaskQuota, open_quotas
from surgecast.errors import LocalError
from surgecast.supervise import Child, children_in

KINDS: tuple[Kind, ...] = ("cgroup", "affinity", "none")
BURN = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done >&2; exec sleep 60"
"""Uses some CPU, says so, and stays: what has ended can no longer be asked."""


def opened(kind: Kind, worker: str = "contract", cores: float | None = 1.0) -> Quotas:
    if kind == "cgroup":
        try:
            return CgroupQuotas(worker, cores)
        except LocalError as error:
            pytest.skip(f"the kernel lets us make no control group: {error}")
    return open_quotas(kind, worker, cores)


@asynccontextmanager
async def burning(task: TaskQuota) -> AsyncIterator[Child]:
    """A child of `task` that has used some CPU."""
    burnt = asyncio.Event()
    with children_in(task):
        child = await Child.start(["sh", "-c", BURN], name="burn", on_line=lambda _: burnt.set())
    try:
        await burnt.wait()
        yield child
    finally:
        await child.stop(grace_s=1.0)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_cpu_time_of_tasks_is_counted_apart_and_kept_when_they_end(kind: Kind) -> None:
    quotas = opened(kind)
    try:
        busy, idle = quotas.task("busy", 0.5), quotas.task("idle", 0.5)
        async with burning(busy):
            used_s = busy.cpu_s()
            assert used_s > 0
            assert idle.cpu_s() == 0
        assert busy.cpu_s() >= used_s, "what a child has used goes with it"
        busy.close()
        assert quotas.cpu_s() >= used_s, "what a task has used goes with it"
        busy.close()
        assert quotas.cpu_s() < 2 * used_s + 1, "a task that is closed twice is counted twice"
    finally:
        quotas.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_cores_change_while_a_task_runs_and_never_end_it(kind: Kind) -> None:
    quotas = opened(kind, cores=1.0)
    try:
        task = quotas.task("live", 0.25)
        async with burning(task) as child:
            for cores in (0.5, 0.001, 64.0, None, 1.0):
                task.set_cores(cores)
                assert child.process.returncode is None
                assert task.cores is None or 0 < task.cores <= max(1.0, os.cpu_count() or 1)
    finally:
        quotas.close()


@pytest.mark.parametrize("kind", KINDS)
def test_several_workers_have_quotas_of_their_own(kind: Kind) -> None:
    one, other = opened(kind, "one", 0.5), opened(kind, "other", 0.5)
    try:
        first, second = one.task("t", 0.25), other.task("t", 0.25)
        first.close()
        one.close()
        second.set_cores(0.3)
        assert other.cpu_s() == 0
    finally:
        other.close()


def groups(worker: str) -> list[Path]:
    return [
        found
        for controller in ("cpu", "cpuacct", "cpu,cpuacct", "")
        for found in (Path("/sys/fs/cgroup") / controller).glob(f"surgecast-worker.{worker}.*")
    ]


def test_no_group_stays_at_the_end() -> None:
    quotas = opened("cgroup", "tidy")
    quotas.task("t", 0.5)
    assert groups("tidy")
    quotas.close()
    assert not groups("tidy")


def cgroups_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")


async def test_a_child_is_in_the_group_of_its_task() -> None:
    quotas = opened("cgroup", "within", 0.5)
    try:
        task = quotas.task("t", 0.5)
        async with burning(task) as child:
            text = cgroups_of(child.pid)
        assert "/surgecast-worker.within." in text
        assert "/1.t" in text
    finally:
        quotas.close()


KILLED = """
import os, signal, subprocess
from segmenter.worker.cgroups import CgroupQuotas
task = CgroupQuotas("killed", 0.5).task("t", 0.5)
quiet = subprocess.DEVNULL
child = subprocess.Popen(
    ["sleep", "600"], preexec_fn=task.enter, stdout=quiet, stderr=quiet
)
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_worker_left_is_removed_by_the_next_with_what_runs_in_it() -> None:
    opened("cgroup", "probe").close()
    call = [sys.executable, "-c", KILLED]
    dead = subprocess.run(call, capture_output=True, text=True, timeout=30, check=False)
    orphan = int(dead.stdout)
    assert groups("killed"), "there is something to sweep"
    quotas = opened("cgroup", "next")
    try:
        alive = quotas.task("t", None)
        for _ in range(200):
            if not quotas.sweep():
                break
            os.sched_yield()
        assert not groups("killed")
        assert groups("next"), "its own groups are not left over"
        assert alive.cpu_s() == 0
        assert not runs(orphan)
    finally:
        quotas.close()


def runs(pid: int) -> bool:
    """A zombie, whose new parent has not looked yet, has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_group_that_cannot_be_made_is_no_group() -> None:
    with pytest.raises(LocalError, match="control group"):
        CgroupQuotas("nowhere", 1.0, Path("/sys/fs/cgroup/there/is/none"))
