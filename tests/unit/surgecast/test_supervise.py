"""Children do not outlive us, stopping is in two stages, restarts pause longer and longer."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from surgecast.errors import LocalError, RemoteError
from surgecast.supervise import (
    Backoff,
    Child,
    children_in,
    keep_running,
    process_age_s,
    run_until_stopped,
)

WAIT_S = 60.0

STUBBORN = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', \
file=sys.stderr, flush=True); signal.pause()"

PARENT = f"""
import asyncio, os, signal, sys
from surgecast.supervise import Child

async def main():
    ready = asyncio.Event()
    child = await Child.start(
        [sys.executable, "-c", {STUBBORN!r}], name="child", on_line=lambda _: ready.set()
    )
    await ready.wait()
    print(child.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


async def gone(pid: int) -> bool:
    """Wait, bounded, until a process that is not our child has ended."""
    async with asyncio.timeout(WAIT_S):
        fd = os.pidfd_open(pid) if alive(pid) else None
        if fd is not None:
            ended = asyncio.Event()
            asyncio.get_running_loop().add_reader(fd, ended.set)
            await ended.wait()
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
    return not alive(pid)


async def test_a_child_dies_with_its_killed_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    await parent.wait()
    assert await gone(pid), "SIGKILL of the parent must not leave an orphan"


async def test_a_child_that_ignores_sigterm_is_killed() -> None:
    ready = asyncio.Event()
    child = await Child.start(
        [sys.executable, "-c", STUBBORN], name="x", on_line=lambda _: ready.set()
    )
    await ready.wait()
    assert await child.stop(grace_s=0.05) == -signal.SIGKILL


async def test_a_child_that_obeys_is_not_killed() -> None:
    child = await Child.start(["sleep", "60"], name="x")
    assert await child.stop(grace_s=WAIT_S) == -signal.SIGTERM


async def test_what_cannot_be_started_is_named() -> None:
    with pytest.raises(LocalError, match="no-such-program"):
        await Child.start(["no-such-program"], name="x")


async def test_standard_error_is_bounded() -> None:
    code = "import sys; sys.stderr.write('x' * 200000 + '\\n' + 'line\\n' * 200)"
    child = await Child.start([sys.executable, "-c", code], name="x")
    assert await child.wait() == 0
    assert len(child.stderr_tail) == 40
    assert max(map(len, child.stderr_tail)) <= 4096


def test_pauses_grow_to_a_bound() -> None:
    backoff = Backoff(first_s=0.5, max_s=4)
    assert [backoff.pause_s(n) for n in range(1, 7)] == [0.5, 1, 2, 4, 4, 4]
    assert backoff.pause_s(10**9) == 4


async def test_a_failing_task_runs_again_and_a_cancelled_one_ends() -> None:
    runs = 0
    third = asyncio.Event()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            third.set()
            await asyncio.Event().wait()
        raise RemoteError("not today") if runs == 1 else ValueError("a bug")

    task = asyncio.create_task(keep_running("job", run, backoff=Backoff(first_s=0.001)))
    async with asyncio.timeout(WAIT_S):
        await third.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_first_signal_lets_the_work_clean_up() -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            cleaned = True

    async with asyncio.timeout(WAIT_S):
        await run_until_stopped(work)
    assert cleaned


async def test_who_is_asked_first_ends_by_itself():
    asked = asyncio.Event()

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asked.wait()

    async with asyncio.timeout(WAIT_S):
        await run_until_stopped(work, asked=lambda: asked.set() or True)
    assert asked.is_set()


async def test_who_was_asked_and_does_not_end_is_cancelled_by_the_next_signal():
    asked, cleaned = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asked.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    async with asyncio.timeout(WAIT_S):
        await run_until_stopped(work, asked=lambda: asked.set() or True)
    assert cleaned.is_set()


def test_a_process_knows_how_old_it_is():
    code = "from surgecast.supervise import process_age_s; print(process_age_s())"
    before = time.monotonic()
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 0 < float(child.stdout) <= time.monotonic() - before + 0.02
    assert process_age_s() > 0


class Room:
    """A place that only keeps a list of who is in it."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def enter(self) -> None:
        """In the child; who is there is told by `started`."""

    def started(self, pid: int) -> None:
        self.pids.append(pid)


async def test_children_of_tasks_made_within_a_place_are_in_it_and_no_others():
    room = Room()

    async def start() -> int:
        child = await Child.start(["true"], name="true")
        await child.wait()
        return child.pid

    outside = asyncio.create_task(start())
    with children_in(room):
        inside = asyncio.create_task(start())
    after = await start()
    assert room.pids == [await inside]
    assert not {await outside, after} & set(room.pids)
