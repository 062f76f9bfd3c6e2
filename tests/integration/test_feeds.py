"""Feeds with the real FFmpeg as publisher."""

import asyncio
import logging
import os
import select
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import imageio_ffmpeg  # type: ignore[import-untyped]
import pytest

from segmenter.ingest.child_feed import (
    ChildFeed,
    ChildSource,
    passthrough_command,
    srt_source,
    udp_source,
)
from segmenter.ingest.feed import Connection, Feed
from segmenter.ingest.rtmp_listener import RtmpFeed, RtmpIngest, RtmpLimits, RtmpListener
from surgecast.errors import ConfigError, LocalError, RemoteError
from tests.support.ports import free_port

FFMPEGS = sorted({shutil.which("ffmpeg") or "", imageio_ffmpeg.get_ffmpeg_exe()} - {""})
FFMPEG = FFMPEGS[0]
WAIT_S = 60.0
PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
SOUND = ["-f", "lavfi", "-i", "sine=frequency=440"]
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "12"]
PHRASE = "corréct &horse%20=battery+?"

T = TypeVar("T")


async def within(work: Awaitable[T], seconds: float = WAIT_S) -> T:
    return await asyncio.wait_for(work, seconds)


class Publisher:
    """An FFmpeg that publishes to a URL; ended by its pid."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self) -> str:
        _, complaints = await within(self.process.communicate())
        return complaints.decode()


@asynccontextmanager
async def publisher(
    url: str, form: str = "flv", seconds: float = 2, *options: str, sound: bool = True
) -> AsyncIterator[Publisher]:
    process = await asyncio.create_subprocess_exec(
        *[FFMPEG, "-nostdin", "-v", "error", "-re", *PICTURE, *(SOUND if sound else [])],
        *["-t", str(seconds), *X264, *options, "-c:a", "aac", "-f", form, url],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Publisher(process)
    finally:
        if process.returncode is None:
            process.kill()
        await within(process.communicate())


@asynccontextmanager
async def rtmp(limits: RtmpLimits | None = None) -> AsyncIterator[tuple[RtmpFeed, str]]:
    listener = RtmpListener("127.0.0.1", 0, limits)
    await listener.start()
    try:
        yield listener.register("live", "secret"), f"rtmp://127.0.0.1:{listener.port}/live"
    finally:
        await within(listener.close())


async def collect(connection: Connection) -> bytes:
    return b"".join([piece async for piece in connection])


async def take(feed: Feed) -> bytes:
    return await collect(await feed.next_connection())


async def decode(data: bytes, *options: str) -> tuple[str, int]:
    """(what FFmpeg complains of, number of video frames) of a stream on its standard input."""
    process = await asyncio.create_subprocess_exec(
        *[FFMPEG, "-v", "error", "-xerror", "-i", "pipe:0", "-map", "0:v"],
        *[*options, "-f", "framemd5", "pipe:1"],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await within(process.communicate(data))
    return complaints.decode(), sum(not line.startswith(b"#") for line in out.splitlines())


@pytest.mark.parametrize(
    ("options", "sound"),
    [([], True), ([], False), (["-bf", "3", "-preset", "veryfast"], True)],
    ids=["plain", "no-sound", "b-frames"],
)
async def test_rtmp_publish_decodes(options: list[str], sound: bool) -> None:
    async with (
        rtmp() as (feed, url),
        publisher(f"{url}/secret", "flv", 2, *options, sound=sound) as source,
    ):
        data = await within(take(feed))
        assert await source.end() == ""
    assert data[:5] == b"FLV\x01" + (b"\x05" if sound else b"\x01")
    assert await decode(data) == ("", 50)


async def test_rtmp_key_in_the_query() -> None:
    async with rtmp() as (feed, url), publisher(f"{url}/channel?key=secret", "flv", 1):
        assert await decode(await within(take(feed))) == ("", 25)


@pytest.mark.parametrize("path", ["live/wrong", "other/secret"])
async def test_rtmp_wrong_key_or_application_is_refused(path: str) -> None:
    async with rtmp() as (feed, url), publisher(url.replace("live", path), "flv", 5) as source:
        complaints = await source.end()
        assert source.process.returncode
        assert "no such application, or a wrong stream key" in complaints
        assert not feed.busy


async def test_rtmp_second_publisher_is_refused_and_a_later_one_is_not() -> None:
    async with rtmp() as (feed, url):
        async with publisher(f"{url}/secret", "flv", 60) as first:
            connection = await within(feed.next_connection())
            async with publisher(f"{url}/secret", "flv", 5) as second:
                assert "another publisher is live" in await second.end()
            first.process.kill()
            assert await within(collect(connection))
        async with publisher(f"{url}/secret", "flv", 1):
            assert await decode(await within(take(feed))) == ("", 25)


async def test_rtmp_consumer_that_restarts_gets_a_stream_that_decodes() -> None:
    async with rtmp() as (feed, url), publisher(f"{url}/secret", "flv", 3):
        connection = await within(feed.next_connection())
        seen = 0
        async for piece in connection:
            seen += len(piece)
            if seen > 40_000:
                break
        connection.restart()
        data = await within(collect(connection))
        assert data[:3] == b"FLV"
        complaints, frames = await decode(data, "-fps_mode", "passthrough")
        assert complaints == ""
        assert frames >= 12


async def test_rtmp_slow_consumer_holds_the_publisher_back() -> None:
    limits = RtmpLimits(queue_bytes_max=20_000)
    async with rtmp(limits) as (feed, url), publisher(f"{url}/secret", "flv", 2):
        connection = await within(feed.next_connection())
        await within(held_back(connection))
        assert (await within(connection.__anext__())).startswith(b"FLV")
        assert not connection.full
        assert await within(collect(connection))


async def held_back(connection: RtmpIngest) -> None:
    while not connection.full:  # noqa: ASYNC110 - a consumer is not told that it is slow
        await asyncio.sleep(0.01)


async def test_rtmp_silence_ends_a_publisher() -> None:
    limits = RtmpLimits(idle_timeout_s=1.0)
    async with rtmp(limits) as (feed, url), publisher(f"{url}/secret", "flv", 60) as source:
        connection = await within(feed.next_connection())
        source.process.send_signal(signal.SIGSTOP)  # alive, connected, silent
        with pytest.raises(RemoteError, match=r"silent for 1 s"):
            await within(collect(connection))


async def test_rtmp_peer_that_never_publishes_is_dropped() -> None:
    async with rtmp(RtmpLimits(publish_timeout_s=0.2)) as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await within(reader.read()) == b""
        writer.close()
        await writer.wait_closed()


async def test_rtmp_port_taken_and_key_twice() -> None:
    async with rtmp() as (feed, url):
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(LocalError, match="cannot listen on 127"):
            await RtmpListener("127.0.0.1", port).start()
        await feed.close()
        async with publisher(f"{url}/secret", "flv", 5) as source:
            assert "wrong stream key" in await source.end()
    listener = RtmpListener("127.0.0.1", 0)
    listener.register("live", "a")
    with pytest.raises(LocalError, match="same stream key"):
        listener.register("live", "a")


async def bound(port: int) -> None:
    """Wait until a UDP socket (SRT's too) is bound to `port`."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("ffmpeg", FFMPEGS)
async def test_udp_passes_datagrams_through(ffmpeg: str) -> None:
    port = free_port()
    feed = ChildFeed(ffmpeg, udp_source("127.0.0.1", port), silence_s=WAIT_S)
    connecting = asyncio.create_task(feed.next_connection())
    received = b""
    try:
        await within(bound(port))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sent = b""
            for burst in range(20):
                # No more at a time than any receive buffer holds: UDP has no other way to wait.
                for number in range(10):
                    datagram = bytes([burst * 10 + number]) * 1316
                    sender.sendto(datagram, ("127.0.0.1", port))
                    sent += datagram
                connection = await within(connecting)
                while len(received) < len(sent):
                    received += await within(connection.__anext__())
        assert received == sent
    finally:
        connecting.cancel()
        await within(feed.close())


@pytest.mark.parametrize("ffmpeg", FFMPEGS)
async def test_srt_with_right_and_wrong_passphrase(
    ffmpeg: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    feed = ChildFeed(ffmpeg, srt_source("127.0.0.1", port, PHRASE))
    target = f"srt://127.0.0.1:{port}?mode=caller&pkt_size=1316"
    wrong = ["-passphrase", "not the right one"]
    taking = asyncio.create_task(take(feed))
    try:
        await within(bound(port))
        with caplog.at_level(logging.WARNING):
            async with publisher(target, "mpegts", 2, *wrong) as source:
                assert await source.end() != ""
        assert [record.message for record in caplog.records] == ["SRT publisher refused"]
        assert caplog.records[0].__dict__["surgecast_fields"]["reason"] == "wrong passphrase"
        assert not taking.done()
        async with publisher(target, "mpegts", 2, "-passphrase", PHRASE):
            data = await within(taking)
        complaints, frames = await decode(data)
        # What a busy machine delivers later than `latency`, SRT leaves out; and its end, always.
        assert frames >= 10, complaints
    finally:
        taking.cancel()
        await within(feed.close())


async def test_srt_publisher_killed_is_noticed_and_the_next_one_served() -> None:
    port = free_port()
    feed = ChildFeed(FFMPEG, srt_source("127.0.0.1", port), silence_s=0.7)
    target = f"srt://127.0.0.1:{port}?mode=caller&pkt_size=1316"
    try:
        for _ in range(2):
            waiting = asyncio.create_task(feed.next_connection())
            await within(bound(port))
            async with publisher(target, "mpegts", 60) as source:
                connection = await within(waiting)
                assert connection.form == "mpegts"
                source.process.kill()
                await within(collect(connection))
    finally:
        await within(feed.close())


async def test_child_that_cannot_listen_says_why() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        feed = ChildFeed(FFMPEG, srt_source("127.0.0.1", taken.getsockname()[1], PHRASE))
        with pytest.raises(RemoteError, match="already in use") as caught:
            await within(feed.next_connection())
        assert PHRASE not in str(caught.value)


ORPHAN = """
import asyncio, sys
from segmenter.ingest.child_feed import ChildFeed, udp_source
async def main():
    feed = ChildFeed(sys.argv[1], udp_source("127.0.0.1", int(sys.argv[2])))
    waiting = asyncio.create_task(feed.next_connection())
    while feed._child is None:
        await asyncio.sleep(0)
    sys.stdout.write(f"{feed._child.pid}\\n")
    sys.stdout.flush()
    await waiting
asyncio.run(main())
"""


async def test_child_dies_with_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", ORPHAN, FFMPEG, str(free_port())],
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = os.pidfd_open(int(await within(parent.stdout.readline())))
    try:
        parent.kill()
        await within(parent.wait())
        assert select.select([child], [], [], WAIT_S)[0], "the child outlived its parent"
    finally:
        os.close(child)


async def test_ffmpeg_missing(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot start"):
        await ChildFeed(str(tmp_path / "none"), ChildSource("udp://127.0.0.1:1")).next_connection()


def test_passphrase_bounds() -> None:
    for phrase in ("short", "x" * 80):
        with pytest.raises(ConfigError, match="passphrase"):
            srt_source("0.0.0.0", 9000, phrase)


def test_passthrough_command_golden() -> None:
    head = "ffmpeg -nostdin -hide_banner -loglevel warning -f data -raw_packet_size 2048 "
    tail = " -map 0 -c copy -flush_packets 1 -f data pipe:1"
    assert " ".join(passthrough_command("ffmpeg", udp_source("239.0.0.1", 5000))) == (
        head
        + "-i udp://239.0.0.1:5000?fifo_size=28672&buffer_size=4194304&overrun_nonfatal=1"
        + tail
    )
    source = srt_source("0.0.0.0", 9000, "0123456789")
    assert " ".join(passthrough_command("ffmpeg", source)) == (
        head + "-mode listener -latency 120000 -timeout 5000000 "
        "-passphrase 0123456789 -pbkeylen 16 -enforced_encryption 1 "
        "-i srt://0.0.0.0:9000" + tail
    )
