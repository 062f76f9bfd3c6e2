"""GStreamer's playbin3 into a sink that reports every buffer it is given.

Its live sources never end by themselves, so it is stopped when the time is over.
"""

import re

from tests.players.process import missing, run
from tests.players.sighting import Sighting, holes

_OPENING_S = 4.0
_PICTURE = re.compile(r"vs: last-message = chain .* pts: (\d+):(\d\d):(\d\d\.\d+)")
_SIZE = re.compile(r"GstFakeSink:vs\.GstPad:sink: caps = .*width=\(int\)(\d+), height=\(int\)(\d+)")
_COMPLAINT = re.compile(r"^(ERROR|WARNING|\*\*|\(gst)|element .* error", re.IGNORECASE)
_STOPPED = 130
"""Status after SIGINT, which is how a live pipeline has to end."""


class Gstreamer:
    """Plays in real time."""

    name = "gstreamer"

    def installed(self) -> str | None:
        return missing("gst-launch-1.0")

    async def watch(self, url: str, seconds: float) -> Sighting:
        result = await run(_command(url), seconds + _OPENING_S)
        sighting = Sighting(self.name, status=result.status)
        times: list[float] = []
        for line in result.stdout:
            if picture := _PICTURE.search(line.text):
                hours, minutes, rest = picture.groups()
                times.append(int(hours) * 3600 + int(minutes) * 60 + float(rest))
            elif size := _SIZE.search(line.text):
                sighting.saw(int(size[1]), int(size[2]), times[-1] - times[0] if times else 0.0)
        complaints = (line.text for line in result.stdout + result.stderr)
        sighting.errors = [text for text in complaints if _COMPLAINT.search(text)]
        sighting.errors += holes(times)
        sighting.frames = len(times)
        sighting.media_s = times[-1] - times[0] if times else 0.0
        if result.status not in ({0, _STOPPED, -2} if result.timed_out else {0}):
            sighting.errors.append(f"exit status {result.status}")
        return sighting


def _command(url: str) -> list[str]:
    return [
        *("gst-launch-1.0", "-v", "playbin3", f"uri={url}"),
        "video-sink=fakesink name=vs silent=false sync=true",
        "audio-sink=fakesink sync=true",
    ]
