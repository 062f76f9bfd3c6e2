"""Processes that outlive the tests which started them, found by a mark in their environment."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "SURGECAST_TEST_RUN"
"""Whatever the tests start inherits this variable, and its children do."""
GRACE_S = 20.0
_POLL_S = 0.05


def running(mark: str) -> dict[int, str]:
    """Process id -> command line of what carries `mark`, us excepted."""
    wanted, found = f"{MARK}={mark}".encode(), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        # It may end while we look, or belong to somebody else. A zombie has no environment.
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(entry.name)] = line.decode(errors="replace").strip()
    return found


def ended(mark: str, grace_s: float = GRACE_S) -> dict[int, str]:
    """Give what carries `mark` time to end; what did not is killed, and told."""
    until = time.monotonic() + grace_s
    while (left := running(mark)) and time.monotonic() < until:
        time.sleep(_POLL_S)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left
