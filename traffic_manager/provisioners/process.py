"""A process of this machine that may be nobody's child any more, held so that it is never mistaken.

A pid can be given to another process at any time. A process is therefore named by its pid and the
time it started, and held by a descriptor (pidfd_open(2)), which goes on meaning that process.
"""

import asyncio
import contextlib
import os
import select
import signal
from pathlib import Path

_STATE, _START_TICKS = 0, 19
"""Fields of /proc/PID/stat after the name, proc_pid_stat(5) fields 3 and 22."""


def boot_id() -> str:
    """The current boot of this machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none that runs."""
    fields = _stat(pid)
    if fields is None or fields[_STATE] in ("Z", "X"):
        return None
    return int(fields[_START_TICKS])


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def pid_with_argument(argument: str) -> int | None:
    """The process of this user that has `argument` on its command line."""
    wanted = argument.encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in (folder / "cmdline").read_bytes().split(b"\0"):
                    return int(folder.name)
    return None


class Process:
    """One process, ours or adopted."""

    def __init__(self, pid: int, descriptor: int, ticks: int) -> None:
        self.pid = pid
        self.start_ticks = ticks
        self._descriptor = descriptor

    @classmethod
    def hold(cls, pid: int, ticks: int | None = None) -> "Process | None":
        """The process that runs under `pid`, and started at `ticks` if that is given."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            return None
        found = start_ticks(pid)  # looked at while the descriptor holds the pid
        if found is None or ticks not in (None, found):
            os.close(descriptor)
            return None
        return cls(pid, descriptor, found)

    @property
    def running(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return not poll.poll(0)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    async def ends_within(self, timeout_s: float) -> bool:
        """Give it time to end by itself; whether it did."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._descriptor, ended.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ended.wait()
        except TimeoutError:
            return not self.running
        finally:
            loop.remove_reader(self._descriptor)
        return True

    async def stop(self, grace_s: float, killed_s: float) -> bool:
        """Ask it to end, kill it after `grace_s`; whether it is gone `killed_s` after that."""
        self.send(signal.SIGTERM)
        if await self.ends_within(grace_s):
            return True
        self.send(signal.SIGKILL)
        return await self.ends_within(killed_s)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
