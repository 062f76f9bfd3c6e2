"""A stream that is known to be good, and ways to spoil it: what the drivers are tried on.

FFmpeg makes three rungs of one second segments from one run. The playlists switch rungs the way
surgecast does (EXT-X-DISCONTINUITY, time stamps that go on), and the spoiled ones break one rule.
"""

import contextlib
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web

from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.render import render_media, render_multivariant

FRAME_RATE = 25
SEGMENTS = 12
SIZES = ((640, 360), (480, 270), (320, 180))
SWITCHES = (0, 2, 1, 0)
"""The rung of each three segments: every rung is seen, and each step is a switch."""
WINDOW = 6
LIVE_START = 4
_ENCODE_LIMIT_S = 60
_PACKET = 188
_CORS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}


def rung_of(number: int) -> int:
    """The rung of segment `number` in the switched playlists."""
    return SWITCHES[number * len(SWITCHES) // SEGMENTS]


def size_names() -> list[str]:
    """The sizes a player that misses nothing sees, in order."""
    return ["{}x{}".format(*SIZES[rung]) for rung in SWITCHES]


@dataclass(frozen=True, slots=True)
class Reference:
    """The encoded files: ts/{rung}/{n}.ts, fmp4/{rung}/{n}.m4s and init_{rung}.mp4 there."""

    folder: Path

    def segments(self, pattern: str) -> Iterator[tuple[int, MediaSegment]]:
        """The switched sequence; `pattern` gives the URI from `rung` and `n`."""
        start = datetime(2026, 1, 1, tzinfo=UTC)
        for number in range(SEGMENTS):
            rung = rung_of(number)
            yield (
                rung,
                MediaSegment(
                    uri=pattern.format(rung=rung, n=number),
                    duration_s=1.0,
                    program_date_time=start + timedelta(seconds=number),
                    discontinuity=number > 0 and rung_of(number - 1) != rung,
                ),
            )

    def good(self) -> MediaPlaylist:
        """All of it, ended, with continuity counters that go on."""
        return _ended(segment for _, segment in self.segments("joined/{n}.ts"))

    def raw_counters(self) -> MediaPlaylist:
        """Spoiled: the continuity counters of each rung are as its own muxer left them."""
        return _ended(segment for _, segment in self.segments("ts/{rung}/{n}.ts"))

    def changing_map(self) -> MediaPlaylist:
        """Spoiled for players built on FFmpeg: each switch brings a second EXT-X-MAP."""
        return _ended(
            replace(segment, map_uri=f"fmp4/{rung}/init_{rung}.mp4")
            for rung, segment in self.segments("fmp4/{rung}/{n}.m4s")
        )

    def joined(self) -> list[bytes]:
        """The switched TS segments, counters renumbered over the whole sequence."""
        counters: dict[int, int] = {}
        return [
            _renumbered((self.folder / f"ts/{rung_of(n)}/{n}.ts").read_bytes(), counters)
            for n in range(SEGMENTS)
        ]


def encode(folder: Path) -> Reference:
    """Make the files. Takes a few seconds."""
    for kind in ("ts", "fmp4"):
        for rung in range(len(SIZES)):
            (folder / kind / str(rung)).mkdir(parents=True)
    for command in (_encoding(folder / "ts"), _repackaging(folder)):
        subprocess.run(command, check=True, timeout=_ENCODE_LIMIT_S)
    return Reference(folder)


def multivariant(uri: str) -> str:
    """A multivariant playlist with `uri` as its only variant."""
    width, height = SIZES[0]
    variant = Variant(uri, 2_000_000, codecs="avc1.4d401f,mp4a.40.2", width=width, height=height)
    return render_multivariant(MultivariantPlaylist((variant,)))


class LiveWindow:
    """A sliding window over the good segments; time starts with the first request.

    A segment a second, and one a request at most: a player on a slow machine misses none.
    With `mutating` the URI of each listed MSN changes on every reload, which breaks rule R1.
    """

    def __init__(self, reference: Reference, mutating: bool = False) -> None:
        self._segments = reference.good().segments
        self._mutating = mutating
        self._start: float | None = None
        self._requests = 0

    def text(self) -> str:
        now = time.monotonic()
        self._start = now if self._start is None else self._start
        self._requests += 1
        end = min(SEGMENTS, LIVE_START + int(now - self._start), LIVE_START - 1 + self._requests)
        begin = max(0, end - WINDOW)
        listed = self._segments[begin:end]
        if self._mutating:
            listed = tuple(replace(s, uri=f"again{self._requests}/{s.uri}") for s in listed)
        playlist = MediaPlaylist(
            target_duration_s=1,
            media_sequence=begin,
            discontinuity_sequence=sum(s.discontinuity for s in self._segments[:begin]),
            segments=listed,
            ended=end == SEGMENTS,
        )
        return render_media(playlist)


@contextlib.asynccontextmanager
async def served(reference: Reference) -> AsyncIterator[str]:
    """Serve the playlists and files on loopback; yields the base address."""
    texts: dict[str, Callable[[], str]] = {
        "good": lambda: render_media(reference.good()),
        "raw": lambda: render_media(reference.raw_counters()),
        "map": lambda: render_media(reference.changing_map()),
        "live": LiveWindow(reference).text,
        "mutating": LiveWindow(reference, mutating=True).text,
    }
    joined = reference.joined()

    async def playlist(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = texts[name]() if name in texts else multivariant(name.removeprefix("of-") + ".m3u8")
        return web.Response(text=text, content_type="application/vnd.apple.mpegurl", headers=_CORS)

    async def segment(request: web.Request) -> web.Response:
        body = joined[int(request.match_info["n"])]
        return web.Response(body=body, content_type="video/mp2t", headers=_CORS)

    async def file(request: web.Request) -> web.Response:
        path = reference.folder / request.match_info["path"]
        return web.Response(body=path.read_bytes(), content_type="video/mp4", headers=_CORS)

    app = web.Application()
    app.router.add_get("/{name}.m3u8", playlist)
    app.router.add_get(r"/{again:(?:again\d+/)?}joined/{n:\d+}.ts", segment)
    app.router.add_get(r"/{path:(?:ts|fmp4)/[\w./]+}", file)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _ended(segments: Iterator[MediaSegment]) -> MediaPlaylist:
    return MediaPlaylist(
        target_duration_s=1,
        media_sequence=0,
        discontinuity_sequence=0,
        segments=tuple(segments),
        ended=True,
    )


def _renumbered(segment: bytes, counters: dict[int, int]) -> bytes:
    """Continuity counters that go on from `counters`, which is moved forward."""
    packets = bytearray(segment)
    for at in range(0, len(packets), _PACKET):
        pid = int.from_bytes(packets[at + 1 : at + 3], "big") & 0x1FFF
        carries_payload = packets[at + 3] & 0x10
        count = counters.get(pid, -1) + (1 if carries_payload else 0)
        counters[pid] = count
        packets[at + 3] = packets[at + 3] & 0xF0 | count & 0x0F
    return bytes(packets)


def _encoding(folder: Path) -> list[str]:
    """One run for all rungs: no B-frames, closed groups of one segment, the same sound."""
    rungs = range(len(SIZES))
    splits = "".join(f"[s{r}]" for r in rungs)
    scales = ";".join(f"[s{r}]scale={w}:{h}[v{r}]" for r, (w, h) in enumerate(SIZES))
    return [
        *("ffmpeg", "-nostdin", "-v", "error"),
        *("-f", "lavfi", "-i", f"testsrc2=s=640x360:r={FRAME_RATE}"),
        *("-f", "lavfi", "-i", "sine=r=48000", "-t", str(SEGMENTS)),
        *("-filter_complex", f"[0:v]split={len(SIZES)}{splits};{scales}"),
        *(word for r in rungs for word in ("-map", f"[v{r}]", "-map", "1:a")),
        *("-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-level", "3.1"),
        *("-pix_fmt", "yuv420p", "-bf", "0", "-g", str(FRAME_RATE)),
        *("-keyint_min", str(FRAME_RATE), "-sc_threshold", "0"),
        *("-c:a", "aac", "-ac", "2", "-b:a", "96k"),
        *_packaging(folder, "mpegts", "ts"),
    ]


def _repackaging(folder: Path) -> list[str]:
    """The same pictures and sound as fragmented MP4."""
    rungs = range(len(SIZES))
    return [
        *("ffmpeg", "-nostdin", "-v", "error"),
        *(word for r in rungs for word in ("-i", f"{folder}/ts/{r}/i.m3u8")),
        *(word for r in rungs for word in ("-map", f"{r}:v", "-map", f"{r}:a")),
        *("-c", "copy", "-bsf:a", "aac_adtstoasc", *_packaging(folder / "fmp4", "fmp4", "m4s")),
    ]


def _packaging(folder: Path, kind: str, suffix: str) -> list[str]:
    rungs = range(len(SIZES))
    return [
        *("-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_segment_type", kind),
        *("-hls_segment_filename", f"{folder}/%v/%d.{suffix}"),
        *("-var_stream_map", " ".join(f"v:{r},a:{r}" for r in rungs), f"{folder}/%v/i.m3u8"),
    ]
