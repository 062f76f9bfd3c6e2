"""The main job: `surgecast demo` tells its story and ends by itself, with nothing left behind."""

import asyncio
import json
import sys
from pathlib import Path

from tests.support.running import ROOT

TIMEOUT_S = 180.0


def processes_in(folder: str) -> list[str]:
    """Command lines that name a file of the demo's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if folder in line:
            found.append(line)
    return found


async def test_a_crowd_comes_and_nobody_is_cut_off(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "surgecast.cli", "demo"),
        *("--seconds", "20", "--port", "0", "--json"),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            output, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    summary = json.loads(output.splitlines()[-1])
    assert summary["viewer"]["played"] is True, log.decode()
    assert summary["crowd"]["viewers_peak"] >= 40
    assert summary["crowd"]["failed"] == 0
    assert summary["crowd"]["wrong_sequence"] == 0
    assert summary["channel"]["name"] == "demo"
    assert processes_in(str(tmp_path)) == [], "every process it started is ended"
