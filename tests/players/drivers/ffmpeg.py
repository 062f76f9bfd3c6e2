"""FFmpeg as the strictest player: any warning, decode error or hole in time is a failure.

FFmpeg alone ends with status 0 on garbage, so status, messages, sizes and time stamps all count.
"""

import re

from tests.players.process import missing, run
from tests.players.sighting import Sighting, holes

_OPENING_LIMIT_S = 60.0
_PICTURE = re.compile(r"\[Parsed_showinfo.* n: *\d+ pts:.* pts_time:(-?[\d.]+) .* s:(\d+)x(\d+) ")
_COMPLAINT = re.compile(r"\[(warning|error|fatal|panic)\]")


class Ffmpeg:
    """Decodes every frame of picture and sound."""

    name = "ffmpeg"

    def installed(self) -> str | None:
        return missing("ffmpeg")

    async def watch(self, url: str, seconds: float) -> Sighting:
        result = await run(_command(url, seconds), seconds + _OPENING_LIMIT_S)
        sighting = Sighting(self.name, status=result.status, media_s=seconds)
        sighting.frames = sum(line.text.startswith("0,") for line in result.stdout)
        sighting.errors = [line.text for line in result.stderr if _COMPLAINT.search(line.text)]
        _read_pictures([line.text for line in result.stderr], sighting)
        if result.status != 0:
            sighting.errors.append(f"exit status {result.status}")
        if result.timed_out:
            sighting.errors.append(f"did not get {seconds:g} s of media in time")
        return sighting


def _command(url: str, seconds: float) -> list[str]:
    """`level` marks the weight of each message; showinfo tells the size of every picture."""
    return [
        *("ffmpeg", "-nostdin", "-nostats", "-hide_banner", "-v", "level+info"),
        *("-xerror", "-err_detect", "explode", "-i", url, "-t", str(seconds)),
        *("-map", "0:v:0", "-map", "0:a:0?", "-vf", "showinfo=checksum=0", "-autoscale", "0"),
        *("-c:v", "rawvideo", "-f", "framemd5", "-"),
    ]


def _read_pictures(log: list[str], sighting: Sighting) -> None:
    times = []
    for picture in filter(None, map(_PICTURE.search, log)):
        times.append(float(picture[1]))
        sighting.saw(int(picture[2]), int(picture[3]), times[-1])
    sighting.errors += holes(times)
