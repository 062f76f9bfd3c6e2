"""Sources that can be told apart by their colour, that freeze or go black on time; what is shown.

The primary is red, the backup blue, both move. So it can be seen in every published segment whose
picture it has.
"""

import asyncio

import aiohttp

from segmenter import ffmpeg
from surgecast.hls.parse import parse_media

_TINTS = {"red": "rr=1:gg=0.2:bb=0.2", "blue": "rr=0.2:gg=0.2:bb=1"}


def moving(
    tint: str,
    *,
    size: str = "320x180",
    rate: int = 25,
    frozen_after_s: float | None = None,
    black_s: tuple[float, float] | None = None,
) -> str:
    """A filter graph for `publisher`."""
    graph = f"testsrc2=size={size}:rate={rate},colorchannelmixer={_TINTS[tint]}"
    if frozen_after_s is not None:
        graph += f",trim=duration={frozen_after_s},tpad=stop_mode=clone:stop=-1"
    if black_s is not None:
        began, ended = black_s
        graph += f",drawbox=enable='between(t,{began},{ended})':color=black:t=fill:w=iw:h=ih"
    return f"{graph},format=yuv420p"


async def tint(segment: bytes) -> str:
    """`red`, `blue`, or `none` for black and for the slate."""
    process = await asyncio.create_subprocess_exec(
        *(ffmpeg.find(), "-v", "error", "-i", "pipe:0", "-frames:v", "1"),
        *("-vf", "scale=1:1:flags=area", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    pixel, _ = await process.communicate(segment)
    red, green, blue = pixel[:3]
    if red > 2 * max(green, blue):
        return "red"
    return "blue" if blue > 2 * max(red, green) else "none"


class Watched:
    """The segments of one playlist as they come: number -> tint, and where it is discontinuous."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self.tints: dict[int, str] = {}
        self.discontinuities: list[int] = []

    async def look(self) -> str:
        """Take what is new; the tint of the newest, `nothing` before the first."""
        async with self._http.get(self._url) as answer:
            if answer.status != 200:
                return "nothing"
            playlist = parse_media(await answer.text())
        for msn, segment in enumerate(playlist.segments, playlist.media_sequence):
            if msn in self.tints:
                continue
            async with self._http.get(f"{self._url.rpartition('/')[0]}/{segment.uri}") as answer:
                assert answer.status == 200, segment.uri
                self.tints[msn] = await tint(await answer.read())
            if segment.discontinuity:
                self.discontinuities.append(msn)
        return self.tints[max(self.tints)] if self.tints else "nothing"

    async def until(self, wanted: str, *, count: int = 1, seconds: float = 60) -> int:
        """Until the newest `count` segments have that tint; the number of the first of them."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self.look()
                    newest = sorted(self.tints)[-count:]
                    if len(newest) == count and {self.tints[n] for n in newest} == {wanted}:
                        return newest[0]
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"no {count} {wanted} segments: {self.tints}") from None

    @property
    def contiguous(self) -> bool:
        """No number is missing."""
        return sorted(self.tints) == list(range(min(self.tints), max(self.tints) + 1))
