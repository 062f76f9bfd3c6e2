"""A crowd that waits for each part of a low-latency channel: CPU for each answer, and how long.

A server on one core publishes parts of four rungs; another process holds connections that each ask
for the playlist with the next part, read it, and ask again. Prints the CPU time of the server for
each answered waiter, for each publication with nobody waiting, and the time from a publication to
the last answer of it handed to the network.

    python -m bench.waiters [--waiters 1000] [--parts 40] [--json]
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from fractions import Fraction

import uvloop

from surgecast.clock import RealClock
from surgecast.delivery.app import build_app, serve
from surgecast.delivery.channels import Directory, Stage
from surgecast.delivery.settings import AdaptationSettings, DeliverySettings, SessionSettings
from surgecast.delivery.waiting import WaitingRoom
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.part import InitSet, PartSet
from surgecast.media.segment import Rendition
from surgecast.media.window import Window, WindowSettings
from surgecast.metrics import Metrics

SERVER_CORE, LOAD_CORE = 0, 1
RUNGS = {"1080p": 5_000_000, "720p": 2_800_000, "480p": 1_400_000, "240p": 400_000}
SEGMENT_S, PARTS = 2, 8
PART_S = SEGMENT_S / PARTS
RENDITIONS = tuple(
    Rendition(name, 1280, 720, Fraction(25), bps, bps, "avc1.4d401f,mp4a.40.2")
    for name, bps in RUNGS.items()
)
INIT = InitSet("e0", dict.fromkeys(RUNGS, b"init"))


def part(number: int) -> PartSet:
    msn, index = divmod(number, PARTS)
    return PartSet(
        msn=msn,
        index=index,
        epoch="e0",
        start_utc=1.8e9 + number * PART_S,
        duration_s=PART_S,
        independent=index == 0,
        discontinuity=False,
        last=index == PARTS - 1,
        slate=False,
        init=INIT,
        payloads={rung: bytes(int(bps * PART_S / 8)) for rung, bps in RUNGS.items()},
    )


def on_show(waiters: int) -> tuple[Directory, Stage]:
    directory = Directory(RealClock(), waiters_max=waiters)
    settings = WindowSettings()
    stage = directory.add(
        "bench",
        Window(RENDITIONS, Fraction(SEGMENT_S), settings),
        sessions=SessionSettings(),
        adaptation=AdaptationSettings(),
        low_latency=LowLatencyWindow(RENDITIONS, Fraction(SEGMENT_S), PART_S, settings),
    )
    for number in range(12 * PARTS):
        stage.publish_part(part(number))
    return directory, stage


async def measure(waiters: int, parts: int) -> dict[str, float]:
    directory, stage = on_show(waiters)
    assert stage.low_latency is not None
    room, turnstile = stage.low_latency.room, directory.turnstile
    settings = DeliverySettings(host="127.0.0.1", port=0, connections_max=waiters + 100)
    number = 12 * PARTS
    async with serve(build_app(directory, Metrics()), directory, settings) as serving:
        before = time.process_time()
        for _ in range(parts):
            stage.publish_part(part(number))
            number += 1
        publish_s = (time.process_time() - before) / parts
        load = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.waiters", "--load", str(serving.port),
            "--waiters", str(waiters), "--parts", str(parts), "--from", str(number),
        )  # fmt: skip
        try:
            spent_s, spans_s = 0.0, []
            for _ in range(parts):
                await crowded(room, waiters)
                coming = part(number)
                number += 1
                answered, cpu, began = turnstile.answered, time.process_time(), time.monotonic()
                stage.publish_part(coming)
                while True:  # a turn of the loop is what is measured
                    await asyncio.sleep(0)
                    if turnstile.answered == answered + waiters:
                        break
                spans_s.append(time.monotonic() - began)
                # Up to here; the requests that follow count with the next wait.
                spent_s += time.process_time() - cpu
            async with asyncio.timeout(60):
                await load.wait()
        finally:
            if load.returncode is None:
                load.kill()
                await load.wait()
    return {
        "waiters": waiters,
        "cpu_us_per_answer": 1e6 * (spent_s - parts * publish_s) / (parts * waiters),
        "cpu_ms_per_publication": 1e3 * publish_s,
        "last_answer_ms_median": 1e3 * statistics.median(spans_s),
        "last_answer_ms_max": 1e3 * max(spans_s),
    }


async def crowded(room: WaitingRoom, waiters: int) -> None:
    """Return when that many wait."""
    async with asyncio.timeout(60):
        while True:  # the room tells nobody who comes
            if len(room) >= waiters:
                return
            await asyncio.sleep(0.005)


class Client(asyncio.Protocol):
    """Asks for the playlist with the next part, again and again."""

    def __init__(self, first: int, last: int, done: asyncio.Future[None]) -> None:
        self._next, self._last, self._done = first, last, done
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        msn, index = divmod(self._next, PARTS)
        self._transport.write(  # type: ignore[attr-defined]
            f"GET /live/bench/ll/720p/media.m3u8?_HLS_msn={msn}&_HLS_part={index} HTTP/1.1\r\n"
            "Host: bench\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._left == 0:
            head, _, body = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._left = int(length) - len(body)
        else:
            self._left -= len(data)
        if self._left == 0:
            self._next += 1
            if self._next == self._last:
                self._done.set_result(None)
            else:
                self._ask()


async def load(port: int, waiters: int, first: int, parts: int) -> None:
    loop = asyncio.get_running_loop()
    done = [loop.create_future() for _ in range(waiters)]
    for one in done:
        await loop.create_connection(
            lambda one=one: Client(first, first + parts, one), "127.0.0.1", port
        )
    await asyncio.gather(*done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiters", type=int, default=1000)
    parser.add_argument("--parts", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--from", type=int, dest="first", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        os.sched_setaffinity(0, {LOAD_CORE})
        uvloop.run(load(given.load, given.waiters, given.first, given.parts))
        return
    os.sched_setaffinity(0, {SERVER_CORE})
    found = uvloop.run(measure(given.waiters, given.parts))
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:24} {value:10.3f}")


if __name__ == "__main__":
    main()
