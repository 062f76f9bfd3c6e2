"""Every player on a running origin, each with a session that is switched through all rungs.

    python -m tests.players.acceptance --base http://127.0.0.1:8080/live/demo/ --seconds 60

A session is opened by asking for `adaptive.m3u8`; the player gets the session's playlist, bare or
behind a multivariant playlist of one variant, and the rungs are set over the API meanwhile. With
`--via adaptive` the player asks for `adaptive.m3u8` itself, and all sessions are switched. With
`--via capped` it asks for `index.m3u8` and chooses itself, and the rung cap goes down and up.
"""

import argparse
import asyncio
import contextlib
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import web

from tests.players.drivers.every import every_player
from tests.players.sighting import Player, Sighting

SEGMENTS_PER_SWITCH = 4
_FRAMES_MIN = 0.99
_FRAMES_MIN_VLC = 0.95
"""VLC leaves some pictures out of its own count at each switch (36 of 1500 in seven switches) and
tells of no loss; nor does it tell how long it played."""
_REQUEST_LIMIT_S = 10.0
_CORS = {"Access-Control-Allow-Origin": "*"}


@dataclass(frozen=True, slots=True)
class Trial:
    """What is asked of each player."""

    base: str
    """Address of the channel, ending in a slash: http://host:port/live/demo/."""
    seconds: float
    fps: float
    via: str = "media"
    """`media`, `multivariant`, `adaptive` or `capped`: what the player is given."""
    token: str | None = None

    @property
    def channel(self) -> str:
        return urlsplit(self.base).path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def api(self) -> str:
        return urljoin(self.base, f"/api/v1/channels/{self.channel}")


@dataclass(frozen=True, slots=True)
class Ladder:
    """Rung names, top first, and their sizes."""

    names: tuple[str, ...]
    sizes: frozenset[str]

    def walk(self) -> Iterator[str]:
        """Down the ladder and up again, for ever, beginning below the top."""
        return itertools.cycle(self.names[1:] + self.names[-2::-1])


class Origin:
    """The few requests the trial makes of the origin under test."""

    def __init__(self, http: aiohttp.ClientSession, trial: Trial) -> None:
        self._http = http
        self._trial = trial

    async def ladder(self) -> Ladder:
        async with self._http.get(urljoin(self._trial.base, "/api/v1/channels")) as answer:
            answer.raise_for_status()
            body: dict[str, Any] = await answer.json()
        rungs = next(c for c in body["channels"] if c["name"] == self._trial.channel)["ladder"]
        rungs = sorted(rungs, key=lambda rung: -rung["height"])
        return Ladder(
            tuple(rung["name"] for rung in rungs),
            frozenset(f"{rung['width']}x{rung['height']}" for rung in rungs),
        )

    async def open_session(self) -> str:
        """Address of the media playlist of a new session."""
        text = await self._text(urljoin(self._trial.base, "adaptive.m3u8"))
        uri = next(line for line in text.splitlines() if line and not line.startswith("#"))
        return urljoin(self._trial.base, uri)

    async def segment_s(self) -> float:
        """Duration of the segments, from a playlist of a session nobody watches."""
        text = await self._text(await self.open_session())
        line = next(line for line in text.splitlines() if line.startswith("#EXTINF:"))
        return float(line.removeprefix("#EXTINF:").split(",")[0])

    async def put_rung(self, rung: str, session: str | None) -> None:
        """Set the rung of one session, or of all where `session` is None."""
        url = self._trial.api + (f"/sessions/{session}/rung" if session else "/rung")
        async with self._http.put(url, json={"rung": rung}) as answer:
            answer.raise_for_status()

    async def put_rung_cap(self, rung: str) -> None:
        """Nobody has more, whatever playlist they are on."""
        async with self._http.put(f"{self._trial.api}/rung_cap", json={"rung": rung}) as answer:
            answer.raise_for_status()

    async def _text(self, url: str) -> str:
        async with self._http.get(url) as answer:
            answer.raise_for_status()
            return await answer.text()


async def attempt(trial: Trial, player: Player) -> tuple[Sighting, list[str]]:
    """Let one player watch while its session is switched; what it saw, and what is wrong."""
    headers = {"Authorization": f"Bearer {trial.token}"} if trial.token else {}
    limit = aiohttp.ClientTimeout(total=_REQUEST_LIMIT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=limit) as http:
        origin = Origin(http, trial)
        ladder, segment_s = await origin.ladder(), await origin.segment_s()
        async with _address(trial, origin) as (url, session):
            capped = trial.via == "capped"
            put = origin.put_rung_cap if capped else partial(origin.put_rung, session=session)
            # A top rung set here makes the first size the same for every player.
            await put(ladder.names[0])
            watching = asyncio.ensure_future(player.watch(url, trial.seconds))
            try:
                await _switch(put, ladder, watching, SEGMENTS_PER_SWITCH * segment_s)
            finally:
                watching.cancel()
                await asyncio.wait([watching])
    sighting = watching.result()
    return sighting, faults(sighting, trial, ladder)


async def _switch(
    put: Callable[[str], Awaitable[None]],
    ladder: Ladder,
    watching: asyncio.Future[Sighting],
    every_s: float,
) -> None:
    for rung in ladder.walk():
        finished, _ = await asyncio.wait([watching], timeout=every_s)
        if finished:
            return
        await put(rung)


def faults(sighting: Sighting, trial: Trial, ladder: Ladder) -> list[str]:
    """Why this sighting does not pass; empty when it does."""
    found = [f"{len(sighting.errors)} errors"] if sighting.errors else []
    expected = expected_frames(sighting, trial)
    share = _FRAMES_MIN_VLC if sighting.player == "vlc" else _FRAMES_MIN
    if sighting.frames < expected * share:
        found.append(f"{sighting.frames} of {expected:.0f} frames")
    if sighting.media_s is not None and sighting.media_s < trial.seconds * 0.95:
        found.append(f"played {sighting.media_s:.1f} of {trial.seconds:g} s")
    if missing := ladder.sizes - set(sighting.size_names):
        found.append(f"never saw {', '.join(sorted(missing))}")
    if sighting.stalls:
        found.append(f"{sighting.stalls} stalls")
    return found


def expected_frames(sighting: Sighting, trial: Trial) -> float:
    """Frames in the media the player went through."""
    return (trial.seconds if sighting.media_s is None else sighting.media_s) * trial.fps


@contextlib.asynccontextmanager
async def _address(trial: Trial, origin: Origin) -> AsyncIterator[tuple[str, str | None]]:
    """What to give the player, and the session to switch (None: all of them)."""
    entries = {"adaptive": "adaptive.m3u8", "capped": "index.m3u8"}
    if trial.via in entries:
        yield urljoin(trial.base, entries[trial.via]), None
        return
    media = await origin.open_session()
    session = urlsplit(media).path.split("/")[-2]
    if trial.via == "media":
        yield media, session
        return
    text = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=6000000\n{media}\n"
    async with _one_playlist(text) as url:
        yield url, session


@contextlib.asynccontextmanager
async def _one_playlist(text: str) -> AsyncIterator[str]:
    async def playlist(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="application/vnd.apple.mpegurl", headers=_CORS)

    app = web.Application()
    app.router.add_get("/one.m3u8", playlist)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/one.m3u8"
    finally:
        await runner.cleanup()


_ROW = "{:<11} {:>7} {:>8} {:>7} {:>6} {:>6} {:>7}  {:<6} {}\n"
_HEAD = ("player", "frames", "expected", "dropped", "stalls", "errors", "latency", "result")


def _row(sighting: Sighting, trial: Trial, wrong: list[str]) -> str:
    def told(value: float | None, form: str = "{}") -> str:
        return "-" if value is None else form.format(value)

    return _ROW.format(
        sighting.player,
        sighting.frames,
        round(expected_frames(sighting, trial)),
        told(sighting.dropped),
        told(sighting.stalls),
        len(sighting.errors),
        told(sighting.latency_s, "{:.1f} s"),
        "FAIL" if wrong else "pass",
        "; ".join(wrong) or " ".join(sighting.size_names),
    )


async def _report(trial: Trial, names: set[str]) -> int:
    """Print the table; the number of players that failed."""
    failed = 0
    sys.stdout.write(_ROW.format(*_HEAD, "sizes seen, or what is wrong"))
    for player in every_player():
        if names and player.name not in names:
            continue
        if reason := player.installed():
            sys.stdout.write(f"{player.name:<11} {reason}\n")
            continue
        sighting, wrong = await attempt(trial, player)
        failed += bool(wrong)
        sys.stdout.write(_row(sighting, trial, wrong))
        sys.stdout.writelines(f"    {error[:200]}\n" for error in sighting.errors[:5])
        sys.stdout.flush()
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", default="http://127.0.0.1:8080/live/demo/")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=float, default=25.0)
    parser.add_argument(
        "--via", choices=("media", "multivariant", "adaptive", "capped"), default="media"
    )
    parser.add_argument("--token", help="what the API expects as bearer token")
    parser.add_argument("--players", default="", help="names, separated by commas; all by default")
    given = parser.parse_args()
    base = given.base.rstrip("/") + "/"
    trial = Trial(base, given.seconds, given.fps, given.via, given.token)
    return min(1, asyncio.run(_report(trial, set(filter(None, given.players.split(","))))))


if __name__ == "__main__":
    sys.exit(main())
