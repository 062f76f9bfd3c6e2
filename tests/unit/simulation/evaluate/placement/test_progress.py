"""What encoders say is heard, whole lines or not."""

import os
import threading

import pytest

from simulation.evaluate.placement.progress import ProgressReader


class Heard:
    """A clock that tells when it was asked: then a position was taken."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        self.asked.release()
        return self.now_s


def test_the_last_position_counts_and_half_a_line_waits() -> None:
    heard = Heard()
    reader = ProgressReader(heard)
    read, write = os.pipe()
    try:
        reader.add("x", read)
        assert heard.asked.acquire(timeout=10)
        assert reader.last("x") == (0.0, 1.0)
        os.write(write, b"frame=1\nout_time_us=N/A\nout_time_us=1500000\nout_time_us=25")
        assert heard.asked.acquire(timeout=10)
        os.write(write, b"00000\nprogress=continue\n")
        assert heard.asked.acquire(timeout=10)
        assert reader.last("x") == (2.5, 3.0)
        reader.remove("x")
        with pytest.raises(KeyError):
            reader.last("x")
    finally:
        os.close(write)
        reader.close()
