"""streamlink records; what it wrote is then decoded by the strict FFmpeg driver."""

import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests.players.drivers.ffmpeg import Ffmpeg
from tests.players.process import missing, run
from tests.players.sighting import Sighting

_OPENING_LIMIT_S = 30.0
_COMPLAINT = re.compile(r"\[(warning|error|critical)\]|^error:")
_EXPECTED = "Encountered a stream discontinuity"
"""Said at every one, whatever it is; what was recorded shows whether it did harm."""


class Streamlink:
    """Follows the live playlist for a span of media and joins the segments."""

    name = "streamlink"

    def installed(self) -> str | None:
        if _program() is None:
            return "not installed: streamlink"
        return missing("ffmpeg")

    async def watch(self, url: str, seconds: float) -> Sighting:
        with tempfile.TemporaryDirectory(prefix="streamlink-") as folder:
            recording = Path(folder, "recording.ts")
            result = await run(_command(url, seconds, recording), seconds + _OPENING_LIMIT_S)
            sighting = await Ffmpeg().watch(str(recording), seconds + _OPENING_LIMIT_S)
        sighting.player, sighting.status = self.name, result.status
        sighting.media_s = None
        lines = result.stdout + result.stderr
        complaints = [line.text for line in lines if _COMPLAINT.search(line.text)]
        sighting.errors += [text for text in complaints if _EXPECTED not in text]
        if result.status != 0 or result.timed_out:
            sighting.errors.append(f"exit status {result.status}")
        return sighting


def _program() -> str | None:
    """The one beside this Python first: `pip install streamlink` puts it there."""
    beside = Path(sys.executable).with_name("streamlink")
    return str(beside) if beside.exists() else shutil.which("streamlink")


def _command(url: str, seconds: float, recording: Path) -> list[str]:
    return [
        *(str(_program()), "--no-config", "--loglevel", "info", "--force"),
        *("--stream-segmented-duration", str(seconds), "--output", str(recording)),
        *(f"hls://{url}", "best"),
    ]
