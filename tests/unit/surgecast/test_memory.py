"""Large blocks between small ones: their memory goes back when they are gone."""

import ctypes
import subprocess
import sys

import pytest

from surgecast.memory import keep_large_blocks_apart

TURNOVER = """
import os, sys
from pathlib import Path
from surgecast.memory import keep_large_blocks_apart

def rss_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if not keep_large_blocks_apart():
    sys.exit(77)
filler = os.urandom(1_000_000)
first = filler + b"0"
del first
before, segments, small = rss_bytes(), [], []
for number in range(100):
    segments.append(filler + b"%d" % number)
    small.append(filler[:40_000] + b"%d" % number)
del segments
print(rss_bytes() - before)
"""


def test_what_segments_took_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", TURNOVER], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("the C library takes no advice")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30_000_000, "4 MB of small things, and not 100 MB of holes"


def test_a_library_that_takes_no_advice_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert keep_large_blocks_apart() is False
