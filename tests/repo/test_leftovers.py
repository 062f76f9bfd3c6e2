"""The check at the end of every run of pytest sees a process that outlived its test."""

import subprocess
import sys
import uuid

from tests.support import leftovers


def test_a_process_that_is_left_is_told_and_ended() -> None:
    mark = uuid.uuid4().hex
    script = "import sys; print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={leftovers.MARK: mark},
    ) as left:
        assert left.stdout is not None and left.stdout.readline() == b"here\n"
        told = leftovers.ended(mark, grace_s=0.0)
        assert list(told) == [left.pid] and script in told[left.pid]
        assert left.wait(60) < 0, "ended by a signal"
    assert leftovers.ended(mark) == {}
