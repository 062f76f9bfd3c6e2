"""Half an hour of everything at once: `python -m tests.soak --seconds 1800 [--seed N]`.

One origin with a looped file, an RTMP publisher that comes and goes, with a backup that does so
more rarely and an archive of both, and a low-latency channel. Meanwhile its encoders are killed,
and now and then the origin itself, whose port is held as a service manager would; and an operator
switches the input. Players and `surgecast check` run throughout, live and in the archive. What
must hold whatever happens is asserted; a table of the run is printed, and the exit status is 1 if
anything did not.
"""

import argparse
import asyncio
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from player.checking.check import check_stream
from player.session import Options, play
from segmenter import ffmpeg
from surgecast.errors import RemoteError
from tests.support.ports import free_port
from tests.support.running import SMALL_LADDER, RunningOrigin, publisher
from tests.support.verdict import broken

VIEWS = {
    "file": "file/index.m3u8",
    "studio": "studio/index.m3u8",
    "past": "studio/index.m3u8?dvr=1",
    "close": "close/ll.m3u8",
}
"""What is played and checked; DVR lists go back as far as the archive does."""
INPUTS = ("backup", "auto", "primary", "auto")
MARK_S = 300.0
"""How often the table tells of memory."""
SAMPLE_S = 5.0
RSS_GROWTH_BYTES_MAX = 30_000_000
"""From two minutes after a start of the origin to its end."""
SETTLED_S = 120.0
CHECK_S, WATCH_S = 60.0, 90.0
FIRST_S = 30.0
"""Left in peace, so that all channels are on show."""
_DOWN = ("cannot connect", "connection", "disconnected", "reset", "refused", "timeout", "time-out")
"""What a checker says while nobody answers."""
_AFTER_KILL = ("R17 ", "R22 ")
"""Parts are not kept on disk: a killed origin has a short low-latency window, and what was missing
of its last segment is missing in time (decision 0014)."""
AFTER_KILL_S = 30.0


@dataclass(slots=True)
class Life:
    """One process of the origin, from a start to its end."""

    began: float
    rss: list[tuple[float, int]] = field(default_factory=list)

    @property
    def growth_bytes(self) -> int:
        """Since it had settled; 0 for a life that was too short to tell."""
        settled = [rss for at, rss in self.rss if at - self.began >= SETTLED_S]
        return max(settled) - settled[0] if settled else 0


@dataclass(slots=True)
class Tally:
    """What happened and what was seen."""

    began: float = field(default_factory=time.monotonic)
    events: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    played_s: Counter[str] = field(default_factory=Counter)
    stalls: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    """Findings that tell of a busy machine."""
    lives: list[Life] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    downs: list[float] = field(default_factory=list)
    """When the origin was killed."""

    def fault(self, what: str) -> None:
        moment = f"{time.monotonic() - self.began:7.1f} s"
        self.faults.append(f"{moment}: {what}")
        sys.stdout.write(f"FAULT {moment}: {what}\n")
        sys.stdout.flush()

    def was_down(self, since: float) -> bool:
        return any(at >= since - 1.0 for at in self.downs)


class Soak:
    """The whole run. `seconds` of trouble, from `seed`."""

    def __init__(self, folder: Path, seconds: float, seed: int) -> None:
        self._folder = folder
        self._seconds = seconds
        self._rng = random.Random(seed)
        self._port = free_port()
        self.tally = Tally()
        self._origin = RunningOrigin(folder, self._channels(), holds_socket=True)

    def _channels(self) -> str:
        common = f"ladder: {SMALL_LADDER}, overload: {{enabled: false}}"
        test = "source: {kind: test, width: 320, height: 180}"
        return (
            "self_check: true\nchannels:\n"
            f'  file: {{{common}, source: {{kind: file, path: "{self._folder / "film.ts"}"}}}}\n'
            f"  studio: {{{common}, source: {self._rtmp('sesame')}, "
            f"backup: {{source: {self._rtmp('spare')}, return_after_s: 5}}, "
            "dvr: {enabled: true, window_s: 60, disk_bytes_max: 20M}}\n"
            f"  close: {{{common}, {test}, low_latency: {{enabled: true}}}}\n"
        )

    def _rtmp(self, key: str) -> str:
        return f"{{kind: rtmp, host: 127.0.0.1, port: {self._port}, key: {key}}}"

    async def run(self) -> None:
        await self._film()
        await self._start()
        works = [self._publish, self._publish_spare, self._switch_input]
        works += [self._kill_encoders, self._kill_origin, self._sample]
        works += [self._for_view(self._check, name) for name in VIEWS]
        works += [self._for_view(self._play, name) for name in VIEWS]
        tasks = [asyncio.create_task(work()) for work in works]
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for ended in done:  # each goes on for ever
                ended.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            children = self._origin.children()
            await self._origin.stop()
            self._origin.close()
        if left := [pid for pid in children if running(pid)]:
            self.tally.fault(f"processes outlive the origin: {left}")
        crashes = [line for line in self._origin.lines if "Traceback" in line]
        if crashes:
            self.tally.fault(f"{len(crashes)} tracebacks in the log of the origin")

    @staticmethod
    def _for_view(
        work: Callable[[str], Coroutine[Any, Any, None]], name: str
    ) -> Callable[[], Coroutine[Any, Any, None]]:
        return lambda: work(name)

    async def _film(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(ffmpeg.find(), "-v", "error", "-nostdin", "-f", "lavfi"),
            *("-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=440"),
            *("-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"),
            str(self._folder / "film.ts"),
        )
        if await process.wait():
            raise SystemExit("FFmpeg cannot make the film")

    async def _start(self) -> None:
        await self._origin.start()
        self.tally.lives.append(Life(time.monotonic()))

    # Trouble.

    async def _publish(self) -> None:
        """A publisher that comes, is killed, and comes again as another."""
        await self._come_and_go("sesame", "publisher came", 40, 90)

    async def _publish_spare(self) -> None:
        """The backup's: mostly there, so that now and then there is neither and a slate."""
        await self._come_and_go("spare", "backup came", 90, 180)

    async def _come_and_go(self, key: str, event: str, least_s: float, most_s: float) -> None:
        sizes = ("320x180", "640x272", "180x320")
        while True:
            size, rate = self._rng.choice(sizes), self._rng.choice((25, 30))
            url = f"rtmp://127.0.0.1:{self._port}/live/{key}"
            async with publisher(url, size=size, rate=rate):
                self.tally.events[event] += 1
                await asyncio.sleep(self._rng.uniform(least_s, most_s))
            await asyncio.sleep(self._rng.uniform(5, 20))

    async def _switch_input(self) -> None:
        """What an operator does: the backup, the decision of the origin, the primary, and again."""
        await asyncio.sleep(FIRST_S)
        for name in itertools.cycle(INPUTS):
            await asyncio.sleep(self._rng.uniform(20, 60))
            url = f"{self._origin.base}/api/v1/channels/studio/input"
            with suppress(aiohttp.ClientError):
                async with (
                    aiohttp.ClientSession() as http,
                    http.put(url, json={"input": name}) as answer,
                ):
                    if answer.status == 200:
                        self.tally.events[f"input {name}"] += 1
                    else:
                        self.tally.fault(f"input {name}: HTTP {answer.status}")

    async def _kill_encoders(self) -> None:
        await asyncio.sleep(FIRST_S)
        while True:
            await asyncio.sleep(self._rng.uniform(30, 60))
            with suppress(FileNotFoundError, ProcessLookupError):
                children = self._origin.children()
                if children:
                    os.kill(self._rng.choice(children), signal.SIGKILL)
                    self.tally.events["encoder killed"] += 1

    async def _kill_origin(self) -> None:
        await asyncio.sleep(FIRST_S)
        while True:
            await asyncio.sleep(self._rng.uniform(0.8, 1.2) * min(MARK_S, self._seconds / 3))
            self.tally.downs.append(time.monotonic())
            await self._origin.kill()
            self.tally.events["origin killed"] += 1
            await self._start()

    # Viewers.

    def _url(self, name: str) -> str:
        return f"{self._origin.base}/live/{VIEWS[name]}"

    async def _check(self, name: str) -> None:
        while True:
            began = time.monotonic()
            try:
                report = await check_stream(self._url(name), CHECK_S, beside=name != "past")
            except RemoteError:
                await asyncio.sleep(2.0)  # not on show yet, or just away
                continue
            finally:
                self.tally.looks[name] += 1
            serious = broken(report.findings)
            self.tally.late[name] += len(report.findings) - len(serious)
            if self.tally.was_down(began - AFTER_KILL_S):
                serious = [s for s in serious if not s.startswith(_AFTER_KILL)]
                serious = [s for s in serious if not any(word in s.lower() for word in _DOWN)]
            for finding in serious:
                self.tally.fault(f"check of {name}: {finding}")

    async def _play(self, name: str) -> None:
        """A viewer who goes on through everything; an outage may cost stalls, never the stream."""
        options, opened = Options(give_up_s=60.0), False
        while True:
            try:
                report = await play(
                    self._url(name), WATCH_S, options=options, low_latency=name == "close"
                )
            except RemoteError as error:
                if opened and not self.tally.was_down(time.monotonic() - 30.0):
                    self.tally.fault(f"player of {name} cannot open: {error}")
                await asyncio.sleep(2.0)
                continue
            opened = True
            self.tally.played_s[name] += round(report.played_s)
            self.tally.stalls[name] += report.stalls
            if report.error is not None:
                self.tally.fault(f"player of {name}: {report.error}")
            for anomaly in set(report.anomalies) - {"segment given up"}:
                if not self.tally.was_down(time.monotonic() - WATCH_S):
                    self.tally.fault(f"player of {name}: {anomaly}")

    async def _sample(self) -> None:
        while True:
            with suppress(FileNotFoundError, IndexError):
                sample = time.monotonic(), rss_bytes(self._origin.pid)
                self.tally.lives[-1].rss.append(sample)
            await asyncio.sleep(SAMPLE_S)


def running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def table(tally: Tally, seconds: float) -> str:
    """The run in a few lines."""
    lines = [f"{seconds:.0f} s: " + ", ".join(f"{n} x {e}" for e, n in tally.events.items())]
    samples = [sample for life in tally.lives for sample in life.rss]
    mark = min(MARK_S, max(SAMPLE_S, seconds / 6))
    for number in range(1, int(seconds / mark) + 1):
        before = [rss for at, rss in samples if at - tally.began <= number * mark]
        lines.append(f"RSS after {number * mark / 60:4.1f} min: {before[-1] / 1e6:6.1f} MB")
    growth = max((life.growth_bytes for life in tally.lives), default=0)
    lines.append(f"RSS growth of one process once settled: at most {growth / 1e6:.1f} MB")
    lines.append(f"{'view':<10}{'checks':>8}{'late':>8}{'played':>10}{'stalls':>8}")
    for name in VIEWS:
        lines.append(
            f"{name:<10}{tally.looks[name]:>8}{tally.late[name]:>8}"
            f"{tally.played_s[name]:>8} s{tally.stalls[name]:>8}"
        )
    lines.append(f"{len(tally.faults)} faults")
    return "\n".join([*lines, *tally.faults]) + "\n"


async def soak(seconds: float, seed: int) -> Tally:
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as folder:
        work = Soak(Path(folder), seconds, seed)
        await work.run()
    tally = work.tally
    for life in tally.lives:
        if life.growth_bytes > RSS_GROWTH_BYTES_MAX:
            tally.fault(f"the origin grew by {life.growth_bytes / 1e6:.1f} MB")
    for name in VIEWS:
        if not tally.played_s[name]:
            tally.fault(f"{name} was never played")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tally = asyncio.run(soak(given.seconds, given.seed))
    sys.stdout.write(table(tally, given.seconds))
    return min(1, len(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
