"""How much is on its way from an intake to an encoder that does not read."""

import asyncio
import sys
from collections.abc import Callable

import pytest
import uvloop

from segmenter.ingest.intake import _WAY_BYTES, _keep_short

PIECE_BYTES = 1 << 10


async def _accepted_bytes() -> int:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import signal; signal.pause()"), stdin=asyncio.subprocess.PIPE
    )
    try:
        stdin = process.stdin
        assert stdin is not None
        _keep_short(stdin)
        accepted = 0
        while not stdin.transport.get_write_buffer_size():
            stdin.write(b"x" * PIECE_BYTES)
            accepted += PIECE_BYTES
            await asyncio.sleep(0)  # uvloop writes at the end of a turn
        return accepted
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_little_is_hidden_from_the_intake(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """By default it would be 64 kB of a pipe, and 94 kB and more between uvloop's two sockets."""
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_accepted_bytes()) <= 2 * _WAY_BYTES + PIECE_BYTES
