"""Tasks that restart, children that do not outlive us, and a stop in two stages.

A child process is started with a parent-death signal, because a listener that waits writes
nothing and so never notices that its parent is gone. Stopping asks first and kills later.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from surgecast.errors import ConfigError, LocalError, SurgecastError
from surgecast.log import Log

_log = Log("surgecast.supervise")

_PR_SET_PDEATHSIG = 1
_STDERR_LINES_KEPT = 40
_STDERR_LINE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses between restarts: doubling from `first_s` to `max_s`, reset by a run of `good_s`."""

    first_s: float = 0.5
    max_s: float = 10.0
    good_s: float = 30.0

    def pause_s(self, failures: int) -> float:
        """Pause before the next try after `failures` (>= 1) runs in a row that ended early."""
        return float(min(self.max_s, self.first_s * 2 ** min(failures - 1, 16)))


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    log: Log = _log,
    backoff: Backoff | None = None,
) -> None:
    """Run `run()` again and again with a pause after each end, until cancelled.

    A run that returns is followed by the shortest pause; runs that fail early in a row by longer
    and longer ones. Errors meant for people are logged as one line, others with their traceback.
    """
    backoff = backoff or Backoff()
    failures = 0
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            await run()
            failures = 0
        except SurgecastError as error:
            failures = 0 if loop.time() - started >= backoff.good_s else failures
            log.error(f"{name} failed", error=error)
        except Exception as error:
            log.exception(f"{name} failed", error)
        failures += 1
        await asyncio.sleep(backoff.pause_s(failures))


async def first_event(timeout_s: float, *events: asyncio.Event) -> None:
    """Wait until one of the events is set, for at most `timeout_s`."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Place(Protocol):
    """Where children run: in a control group, on some cores."""

    def enter(self) -> None:
        """In the child, between fork and exec. Raises nothing."""
        ...

    def started(self, pid: int) -> None:
        """Here, once it runs."""
        ...


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextlib.contextmanager
def children_in(place: Place) -> Iterator[None]:
    """Every `Child` that is started within runs in `place`, those of tasks made within too."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def die_with_parent(parent: int, place: Place | None = None) -> Callable[[], None]:
    """A function for the child, between fork and exec: SIGKILL me when my parent is gone; then
    it enters `place`."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)
        if place is not None:
            place.enter()

    return arrange


class Child:
    """A running child process whose standard error is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name
        self.stderr_tail: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
        self._stderr_task: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        name: str,
        pass_fds: Sequence[int] = (),
        stdin: int = asyncio.subprocess.DEVNULL,
        stdout: int = asyncio.subprocess.DEVNULL,
        on_line: Callable[[str], None] | None = None,
    ) -> "Child":
        """Start `argv` so that it dies with us. Raises LocalError if it cannot be started."""
        place = _place.get()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=stdin,
                stdout=stdout,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=tuple(pass_fds),
                preexec_fn=die_with_parent(os.getpid(), place),
                # A Ctrl-C at the terminal is ours to handle, in order.
                start_new_session=True,
                limit=1 << 20,
            )
        except OSError as error:
            raise LocalError(f"cannot start {argv[0]}: {error}") from error
        if place is not None:
            place.started(process.pid)
        child = cls(process, name)
        child._stderr_task = asyncio.create_task(child._read_stderr(on_line))
        return child

    @property
    def pid(self) -> int:
        return self.process.pid

    async def wait(self) -> int:
        """Exit status, after all of standard error was read."""
        status = await self.process.wait()
        if self._stderr_task is not None:
            await asyncio.wait([self._stderr_task], timeout=1.0)
        return status

    async def ends_within(self, timeout_s: float) -> bool:
        """Give it time to end by itself; whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.process.wait()
        return self.process.returncode is not None

    async def stop(self, grace_s: float = 2.0) -> int:
        """Ask the child to end (SIGTERM), kill it after `grace_s`; returns its exit status."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(grace_s):
                    await self.process.wait()
            except TimeoutError:
                self.kill()
        return await self.wait()

    def kill(self) -> None:
        """End the child at once."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _read_stderr(self, on_line: Callable[[str], None] | None) -> None:
        stream = self.process.stderr
        if stream is None:
            return
        pending = b""
        while chunk := await stream.read(1 << 14):
            *lines, pending = (pending + chunk).replace(b"\r", b"\n").split(b"\n")
            pending = pending[-_STDERR_LINE_BYTES_MAX:]
            for line in lines:
                self._take_line(line, on_line)
        self._take_line(pending, on_line)

    def _take_line(self, raw: bytes, on_line: Callable[[str], None] | None) -> None:
        line = raw[:_STDERR_LINE_BYTES_MAX].decode("utf-8", "replace").strip()
        if not line:
            return
        self.stderr_tail.append(line)
        if on_line is not None:
            on_line(line)


async def run_until_stopped(
    main: Callable[[], Awaitable[None]],
    *,
    stopping: Callable[[], None] | None = None,
    asked: Callable[[], bool] | None = None,
) -> None:
    """Run `main()` until it ends or SIGTERM / SIGINT arrives.

    The first signal cancels `main`, which then cleans up in its `finally` blocks; the second ends
    the process at once (children die with it). With `asked`, that is called before all this: if it
    says True, `main` is going to end by itself, and only the next signal is the first.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main())
    signals = 0
    was_asked = asked is None

    def on_signal() -> None:
        nonlocal signals, was_asked
        if not was_asked and asked is not None:
            was_asked = True
            if asked():
                return
        signals += 1
        if signals > 1:
            _log.warning("stopped at once by a second signal")
            os._exit(130)
        _log.info("stopping; a second signal ends it at once")
        if stopping is not None:
            stopping()
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if not signals:
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def reload_on_hangup(reload: Callable[[], Awaitable[object]]) -> None:
    """From now on SIGHUP calls `reload`, which logs what is wrong with a file before it raises
    ConfigError: what runs goes on."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    async def tried() -> None:
        with contextlib.suppress(ConfigError):
            await reload()

    def on_hangup() -> None:
        task = loop.create_task(tried())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, on_hangup)


def process_age_s() -> float:
    """Seconds since this process was started, interpreter and imports included; 0 if not known."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        started_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started_s)
    except (OSError, AttributeError, IndexError, ValueError):
        return 0.0
