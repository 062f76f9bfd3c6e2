"""mpv without a screen: its status line, printed for every picture, is what is counted."""

import contextlib
import re

from tests.players.process import missing, run
from tests.players.sighting import Sighting, holes

_OPENING_LIMIT_S = 30.0
_SIZE = re.compile(r"\[vd\] Decoder format: (\d+)x(\d+)")
_STATE = re.compile(r"STATE (\S*) (\d*)$")
_COMPLAINT = re.compile(r"corrupt|duplicated|error|invalid|discarded", re.IGNORECASE)
_STATUS = "STATE ${=time-pos} ${=frame-drop-count}"


class Mpv:
    """Plays in real time to the null outputs."""

    name = "mpv"

    def installed(self) -> str | None:
        return missing("mpv")

    async def watch(self, url: str, seconds: float) -> Sighting:
        result = await run(_command(url, seconds), seconds + _OPENING_LIMIT_S)
        sighting = Sighting(self.name, status=result.status, media_s=seconds)
        times = [0.0]
        for line in sorted(result.stdout + result.stderr, key=lambda line: line.at_s):
            _read(line.text, sighting, times)
        sighting.frames = len(times) - 1
        sighting.errors += holes(times[1:])
        if result.status != 0 or result.timed_out:
            sighting.errors.append(f"exit status {result.status}")
        return sighting


def _read(line: str, sighting: Sighting, times: list[float]) -> None:
    if state := _STATE.search(line):
        sighting.dropped = int(state[2] or 0)
        with contextlib.suppress(ValueError):
            if (now_s := float(state[1])) != times[-1]:
                times.append(now_s)
    elif size := _SIZE.search(line):
        sighting.saw(int(size[1]), int(size[2]), times[-1])
    elif _COMPLAINT.search(line):
        sighting.errors.append(line)


def _command(url: str, seconds: float) -> list[str]:
    return [
        *("mpv", "--no-config", "--ytdl=no", "--vo=null", "--ao=null", f"--length={seconds}"),
        "--msg-level=all=warn,vd=v,statusline=status",
        *(f"--term-status-msg={_STATUS}", url),
    ]
