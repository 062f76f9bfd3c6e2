"""VLC with its command interface on standard input, which is where its statistics come from.

VLC refuses to run as root, so there it runs as nobody.
"""

import os
import re
import tempfile

from tests.players.process import Finished, missing, run
from tests.players.sighting import Sighting

_OPENING_S = 1.0
_SIZE = re.compile(r"original format sz \d+x\d+, of \(\d+,\d+\), vsz (\d+)x(\d+)")
_COUNT = re.compile(r"\| (frames displayed|frames lost|demux corrupted) *: *(\d+)")
_COMPLAINT = re.compile(
    r"slice_header error|concealing|corrupt|Failed to create demuxer|non-existing PPS"
    r"|main input error"
)
_BUFFERED = re.compile(r"Stream buffering done \(\d+ ms in (\d+) ms\)")
_STALL_MS = 100
"""At a discontinuity VLC fills its buffer anew: from what it has, which takes no time, or not."""
_LEAVING = "Requested shutdown"


class Vlc:
    """Plays in real time to the dummy outputs."""

    name = "vlc"

    def installed(self) -> str | None:
        return missing("vlc", *(["setpriv"] if os.geteuid() == 0 else []))

    async def watch(self, url: str, seconds: float) -> Sighting:
        with tempfile.TemporaryDirectory(prefix="vlc-", ignore_cleanup_errors=True) as home:
            os.chmod(home, 0o777)
            result = await run(
                _command(url),
                seconds + _OPENING_S,
                last_words=(b"stats\n", b"shutdown\n"),
                env={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_RUNTIME_DIR": home},
            )
        return _read(result, Sighting(self.name, status=result.status))


def _read(result: Finished, sighting: Sighting) -> Sighting:
    counts: dict[str, int] = {}
    for line in result.stdout:
        if count := _COUNT.search(line.text):
            counts[count[1]] = int(count[2])
    bufferings: list[int] = []
    for line in result.stderr:
        if _LEAVING in line.text:
            break  # decoders cut short complain
        if size := _SIZE.search(line.text):
            sighting.saw(int(size[1]), int(size[2]), line.at_s)
        elif buffered := _BUFFERED.search(line.text):
            bufferings.append(int(buffered[1]))
        elif _COMPLAINT.search(line.text):
            sighting.errors.append(line.text)
    sighting.frames = counts.get("frames displayed", 0)
    sighting.dropped = counts.get("frames lost")
    sighting.stalls = sum(took_ms > _STALL_MS for took_ms in bufferings[1:])
    if counts.get("demux corrupted"):
        sighting.errors.append(f"demux corrupted: {counts['demux corrupted']}")
    if result.status != 0:
        sighting.errors.append(f"exit status {result.status}")
    return sighting


def _command(url: str) -> list[str]:
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    return [
        *(as_nobody if os.geteuid() == 0 else []),
        *("vlc", "-I", "rc", "--rc-fake-tty", "--no-metadata-network-access", "-vv"),
        *("--vout", "vdummy", "--aout", "adummy", "--no-color", url),
    ]
