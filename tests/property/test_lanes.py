"""Both lanes answer the same, however a request arrives."""

import asyncio
import itertools
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surgecast.delivery.app import build_app
from surgecast.delivery.fastlane import FastRunner
from surgecast.delivery.settings import DeliverySettings
from surgecast.metrics import Metrics
from tests.support.lanes import Channel, Step, Wire, normal, settle

PATHS = (
    "/live/demo/720p/media.m3u8",
    "/live/demo/index.m3u8",
    "/live/demo/360p/e0-7.ts",
    "/live/demo/360p/e0-99.ts",
    "/live/demo/360p/media.m3u8?CMCD=bl%3D400",
    "/live/demo/s/known/media.m3u8",
    "/healthz",
    "/live/demo/../demo/index.m3u8",
    "/live/demo/720p/media.m3u8?_HLS_msn=3",
    "/live/demo/ll.m3u8",
    "/live/demo/ll/720p/media.m3u8",
    "/live/demo/ll/720p/media.m3u8?_HLS_skip=YES",
    "/live/demo/ll/720p/media.m3u8?_HLS_msn=7&_HLS_part=1",
    "/live/demo/ll/720p/media.m3u8?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES",
    "/live/demo/ll/720p/media.m3u8?CMCD=bl%3D400&_HLS_msn=7&_HLS_part=3",
    "/live/demo/ll/360p/media.m3u8?_HLS_msn=7",
    "/live/demo/ll/720p/media.m3u8?_HLS_part=2",
    "/live/demo/ll/720p/media.m3u8?_HLS_msn=-7",
    "/live/demo/ll/720p/media.m3u8?_HLS_msn=9",
    "/live/demo/ll/720p/e0-6.m4s",
    "/live/demo/ll/720p/e0-7.1.m4s",
    "/live/demo/ll/720p/e0-7.2.m4s",
    "/live/demo/ll/720p/e0-7.3.m4s",
)
FIELDS = (
    "Accept-Encoding: gzip, deflate",
    "Accept-Encoding: gzip;q=0",
    "accept-encoding: *",
    "Range: bytes=1-5",
    "If-None-Match: *",
    "Connection: keep-alive",
    "Connection: close",
    "Content-Length: 0",
    "X-Any: \x01",
    "X Bad: 1",
    "no colon",
    "User-Agent: t\xe9st",
    "Origin: http://a.example",
    "CMCD-Request: bl=400,mtp=1200",
)
METHODS = ("GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "get")

requests = st.builds(
    lambda method, path, fields, host, version: (
        f"{method} {path} HTTP/{version}\r\n{host}"
        + "".join(f"{field}\r\n" for field in fields)
        + "\r\n"
    ).encode("latin-1"),
    st.sampled_from(METHODS),
    st.sampled_from(PATHS),
    st.lists(st.sampled_from(FIELDS), max_size=3),
    st.sampled_from(("Host: a\r\n", "Host: a\r\n", "")),
    st.sampled_from(("1.1", "1.1", "1.1", "1.0", "2.0")),
)


async def conversation(steps: Sequence[Step], fast: bool) -> tuple[bytes, bool, int]:
    """What one connection gets, if it was closed, and the fast answers."""
    channel = Channel()
    directory = channel.directory
    settings = DeliverySettings(fast_lane=fast)
    runner = FastRunner(build_app(directory, Metrics()), directory.routes, settings)
    await runner.setup()
    assert runner.fast_server is not None
    handler = runner.fast_server()
    wire = Wire()
    handler.connection_made(wire)
    await settle()
    for step in steps:
        if isinstance(step, str):
            channel.step(step)
        elif not wire.closed:
            handler.data_received(step)
        await settle()
    closed = wire.closed
    handler.connection_lost(None)
    await settle()
    waiting = directory.turnstile.waiting
    directory.release_waiters()
    await settle()
    await runner.cleanup()
    assert waiting == 0, "whoever is gone waits no more"
    return wire.sent, closed, runner.fast_server.fast_answers


def same(pieces: Sequence[Step]) -> int:
    """Assert that both lanes say the same; how many answers were fast."""
    fast, fast_closed, fast_answers = asyncio.run(conversation(pieces, fast=True))
    full, full_closed, _ = asyncio.run(conversation(pieces, fast=False))
    assert normal(fast) == normal(full) and fast_closed == full_closed
    return fast_answers


@given(st.lists(requests, min_size=1, max_size=4), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_split_anywhere(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    bounds = [0, *cuts, len(stream)]
    same([stream[a:b] for a, b in itertools.pairwise(bounds) if a < b])


happenings = st.sampled_from(("part", "part", "part", "dies", "stalls", "removed"))


@given(st.lists(requests | happenings, min_size=1, max_size=8))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_one_request_at_a_time(sent: list[Step]) -> None:
    same(sent)


def test_a_request_is_held_alike() -> None:
    """And what was sent meanwhile is answered after it."""
    line = "GET /live/demo/ll/720p/{} HTTP/1.1\r\nHost: a\r\n\r\n"
    reload = line.format("media.m3u8?_HLS_msn=7&_HLS_part=2").encode()
    hint = line.format("e0-7.2.m4s").encode()
    whole = line.format("e0-6.m4s").encode()
    assert same([reload, "part", hint, "part"]) == 2
    assert same([reload, whole, "part", whole]) == 3
    assert same([reload, whole, whole, "part", whole]) >= 1
    assert same([hint, "dies", "part", reload]) == 2
    assert same([hint, "stalls", whole]) == 2
    assert same([reload, "removed", whole]) == 1


def test_the_fast_lane_is_used_and_left() -> None:
    plain = b"GET /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\n\r\n"
    ranged = b"GET /live/demo/360p/e0-7.ts HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n"
    assert same([plain, ranged, plain]) == 2
    post = b"POST /live/demo/720p/media.m3u8 HTTP/1.1\r\nHost: a\r\nContent-Length: 59\r\n\r\n"
    assert same([post, plain, plain]) == 0
