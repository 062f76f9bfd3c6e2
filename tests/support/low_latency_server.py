"""A small low-latency HLS server of its own: `python -m tests.support.low_latency_server`.

It shares no code with what it helps to test. FFmpeg draws a picture in real time and writes
fragmented MP4 to a pipe; each fragment is a part, each run of `PARTS` a segment. Everything is
served from memory: blocking reload, preload hint, delta updates, rendition reports.
"""

import asyncio
import contextlib
import os
import struct
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from segmenter import ffmpeg

FRAME_RATE = 25
PART_S = 0.2
PARTS = 10
WINDOW = 16
RUNGS = {"360p": (640, 360, 800), "180p": (320, 180, 250)}
"""Name -> width, height, kbit/s."""
_TARGET_S = 2
_HEADERS = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
_WAIT_LIMIT_S = 3.0 * _TARGET_S


@dataclass
class Show:
    """Every rung's parts so far, counted alike: part `n` is `n % PARTS` of segment `n // PARTS`."""

    init: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    start_utc: float | None = None
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def count(self) -> int:
        """Parts that every rung has."""
        whole = [max(self.parts.get(rung, {}), default=-1) + 1 for rung in RUNGS]
        return min(whole)

    async def take(self, rung: str, fragment: bytes) -> None:
        held = self.parts.setdefault(rung, {})
        number = max(held, default=-1) + 1
        if self.start_utc is None:
            self.start_utc = time.time() - PART_S
        held[number] = fragment
        held.pop(number - (WINDOW + 8) * PARTS, None)
        async with self.news:
            self.news.notify_all()

    async def reached(self, number: int) -> bool:
        """Wait, for a bounded time, until part `number` is there."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_LIMIT_S), self.news:
                await self.news.wait_for(lambda: self.count > number)
        return self.count > number

    def date(self, number: int) -> str:
        assert self.start_utc is not None
        moment = datetime.fromtimestamp(self.start_utc + number * PART_S, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def playlist(show: Show, rung: str, *, skip: bool) -> str:
    """The media playlist of the moment; a delta update where `skip`."""
    count = show.count
    msn, index = divmod(count, PARTS)
    first = max(0, msn - WINDOW)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{9 if skip else 6}",
        f"#EXT-X-TARGETDURATION:{_TARGET_S}",
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={PART_S * 3:.1f},"
        f"HOLD-BACK={_TARGET_S * 3:.1f},CAN-SKIP-UNTIL={_TARGET_S * 6:.1f}",
        f"#EXT-X-PART-INF:PART-TARGET={PART_S}",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    begin = first
    if skip and msn - 6 > first:
        begin = msn - 6
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={begin - first}")
    else:
        lines.append('#EXT-X-MAP:URI="init.mp4"')
    for number in range(begin, msn):
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{show.date(number * PARTS)}")
        if number >= msn - 3:
            lines += [part_line(number, each) for each in range(PARTS)]
        lines += [f"#EXTINF:{PARTS * PART_S:.5f},", f"{number}.m4s"]
    if index:
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{show.date(msn * PARTS)}")
        lines += [part_line(msn, each) for each in range(index)]
    lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{msn}.{index}.m4s"')
    last = divmod(count - 1, PARTS)
    lines += [
        f'#EXT-X-RENDITION-REPORT:URI="../{other}/media.m3u8",LAST-MSN={last[0]},LAST-PART={last[1]}'
        for other in RUNGS
        if other != rung
    ]
    return "\n".join(lines) + "\n"


def parts_as_segments(show: Show) -> str:
    """The same media for a player that knows no parts: each is a segment."""
    count = show.count
    first = max(0, count - WINDOW * PARTS)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        "#EXT-X-TARGETDURATION:1",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
        "#EXT-X-DISCONTINUITY-SEQUENCE:0",
        '#EXT-X-MAP:URI="init.mp4"',
    ]
    for number in range(first, count):
        msn, index = divmod(number, PARTS)
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{show.date(number)}")
        lines += [f"#EXTINF:{PART_S:.5f},", f"{msn}.{index}.m4s"]
    return "\n".join(lines) + "\n"


def part_line(msn: int, index: int) -> str:
    independent = ",INDEPENDENT=YES" if index == 0 else ""
    return f'#EXT-X-PART:DURATION={PART_S:.5f},URI="{msn}.{index}.m4s"{independent}'


class Server:
    """The routes below `/ll/`."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ll/index.m3u8", self._index)
        app.router.add_get("/ll/{rung}/media.m3u8", self._media)
        app.router.add_get("/ll/{rung}/parts.m3u8", self._parts)
        app.router.add_get("/ll/{rung}/init.mp4", self._init)
        app.router.add_get(r"/ll/{rung}/{msn:\d+}.m4s", self._segment)
        app.router.add_get(r"/ll/{rung}/{msn:\d+}.{index:\d+}.m4s", self._part)
        return app

    async def _index(self, _: web.Request) -> web.Response:
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-INDEPENDENT-SEGMENTS"]
        for rung, (width, height, kbps) in RUNGS.items():
            lines.append(
                f"#EXT-X-STREAM-INF:BANDWIDTH={kbps * 1300},RESOLUTION={width}x{height},"
                f'CODECS="avc1.4d401f,mp4a.40.2",FRAME-RATE={FRAME_RATE}.000'
            )
            lines.append(f"{rung}/media.m3u8")
        await self._show.reached(4 * PARTS)
        return _text("\n".join(lines) + "\n")

    async def _media(self, request: web.Request) -> web.Response:
        query, show = request.query, self._show
        if "_HLS_msn" in query:
            number = int(query["_HLS_msn"]) * PARTS
            number += int(query.get("_HLS_part", PARTS - 1))
            if number > show.count + 3 * PARTS:
                return web.Response(status=400, headers=_HEADERS)
            if not await show.reached(number):
                return web.Response(status=503, headers=_HEADERS)
        rung = request.match_info["rung"]
        return _text(playlist(show, rung, skip=query.get("_HLS_skip") == "YES"))

    async def _parts(self, _: web.Request) -> web.Response:
        await self._show.reached(4 * PARTS)
        return _text(parts_as_segments(self._show))

    async def _init(self, request: web.Request) -> web.Response:
        return _video(self._show.init[request.match_info["rung"]])

    async def _segment(self, request: web.Request) -> web.Response:
        held = self._show.parts[request.match_info["rung"]]
        first = int(request.match_info["msn"]) * PARTS
        numbers = range(first, first + PARTS)
        if any(number not in held for number in numbers):
            return web.Response(status=404, headers=_HEADERS)
        return _video(b"".join(held[number] for number in numbers))

    async def _part(self, request: web.Request) -> web.Response:
        number = int(request.match_info["msn"]) * PARTS + int(request.match_info["index"])
        held = self._show.parts[request.match_info["rung"]]
        if number > self._show.count or not await self._show.reached(number) or number not in held:
            return web.Response(status=404, headers=_HEADERS)
        return _video(held[number])


def _text(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/vnd.apple.mpegurl", headers=_HEADERS)


def _video(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="video/mp4", headers=_HEADERS)


def _command(fds: dict[str, int]) -> list[str]:
    labels = "".join(f"[s{i}]" for i in range(len(fds)))
    scales = ";".join(
        f"[s{i}]scale={RUNGS[rung][0]}:{RUNGS[rung][1]}[v{i}]" for i, rung in enumerate(fds)
    )
    command = [
        ffmpeg.find(), "-v", "error", "-nostdin",
        "-re", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={FRAME_RATE}",
        "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000",
        "-filter_complex", f"[0:v]format=yuv420p,split={len(fds)}{labels};{scales}",
    ]  # fmt: skip
    gop = round(FRAME_RATE * PART_S * PARTS)
    for i, (rung, fd) in enumerate(fds.items()):
        command += [
            "-map", f"[v{i}]", "-map", "1:a",
            "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "main",
            "-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0", "-bf", "0",
            "-b:v", f"{RUNGS[rung][2]}k", "-c:a", "aac", "-b:a", "64k", "-ac", "2",
            "-movflags", "empty_moov+default_base_moof+frag_keyframe+skip_trailer",
            "-frag_duration", str(round(PART_S * 1e6)), "-flush_packets", "1",
            "-f", "mp4", f"pipe:{fd}",
        ]  # fmt: skip
    return command


async def _read(fd: int, rung: str, show: Show) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb")
    )
    head = bytearray()
    try:
        while True:
            prefix = await reader.readexactly(8)
            size, kind = struct.unpack(">I4s", prefix)
            box = prefix + await reader.readexactly(size - 8)
            head += box
            if kind == b"moov":
                show.init[rung] = bytes(head)
                head.clear()
            elif kind == b"mdat":
                await show.take(rung, bytes(head))
                head.clear()
    except asyncio.IncompleteReadError:
        return
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def low_latency_server(port: int = 0) -> AsyncIterator[str]:
    """Draw, cut and serve on loopback; yields the address of the multivariant playlist."""
    show = Show()
    pipes = {rung: os.pipe() for rung in RUNGS}
    process = await asyncio.create_subprocess_exec(
        *_command({rung: ends[1] for rung, ends in pipes.items()}),
        pass_fds=[ends[1] for ends in pipes.values()],
    )
    for _, write_end in pipes.values():
        os.close(write_end)
    readers = [asyncio.create_task(_read(ends[0], rung, show)) for rung, ends in pipes.items()]
    runner = web.AppRunner(Server(show).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/ll/index.m3u8"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await asyncio.gather(*readers)
        await runner.cleanup()


async def _serve_forever(port: int) -> None:
    async with low_latency_server(port) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(8089))
