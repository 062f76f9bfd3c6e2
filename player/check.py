"""`surgecast check URL`: watch a live stream from outside and list the rules it breaks.

Follows the multivariant playlist, all its variants and the adaptive playlist beside it; polls
each media playlist about every half target duration, downloads every new segment once, and makes
the probes a player never makes (HEAD, OPTIONS, ranges, a future and a removed segment).
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp
from rich.console import Console
from rich.table import Table

from player.arguments import seconds_above_0
from player.follow import Follower, Notebook, Segments, Sleep
from player.probe import PREFLIGHT, Prober
from surgecast.clock import Clock, RealClock
from surgecast.errors import RemoteError
from surgecast.hls import rules_http as http
from surgecast.hls.model import MultivariantPlaylist, Variant
from surgecast.hls.observation import Finding, Kind, MediaView, MultivariantView
from surgecast.hls.rules import view_of
from surgecast.hls.rules_media import check_rungs
from surgecast.hls.rules_playlist import check_multivariant, check_variants

SHOWN_MAX = 5
"""Findings of one rule that the table shows; `--json` has them all."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and what was found; no findings on few looks mean little."""

    url: str
    seconds: float
    findings: tuple[Finding, ...]
    looks: dict[str, int]

    @property
    def clean(self) -> bool:
        return not self.findings

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        found = [{"rule": f.rule, "where": f.where, "what": f.what} for f in self.findings]
        return {
            "url": self.url,
            "seconds": round(self.seconds, 3),
            "looks": self.looks,
            "violations": len(found),
            "findings": found,
        }


class _Checker:
    """The whole check of one stream."""

    def __init__(self, prober: Prober, clock: Clock, sleep: Sleep) -> None:
        self._prober = prober
        self._clock = clock
        self._sleep = sleep
        self.notebook = Notebook()
        self._segments = Segments(prober, self.notebook)

    async def open(self, url: str, adaptive_url: str | None) -> list[Follower]:
        """Find the media playlists. Raises RemoteError when `url` is no playlist."""
        answer = await self._prober.get(url, Kind.MULTIVARIANT, gzip=True)
        if answer.status != 200:
            raise RemoteError(f"{url}: the server answers HTTP {answer.status}")
        view = view_of(answer)
        if isinstance(view, Finding):
            raise RemoteError(f"{url}: {view.what}")
        if isinstance(view, MediaView):
            return [self._follow(url, Kind.MEDIA, None, False)]
        followers = await self._variants(url, Kind.MULTIVARIANT, view, None)
        beside = urljoin(url, "adaptive.m3u8") if adaptive_url is None else adaptive_url
        return followers + await self._adaptive(beside, view.playlist)

    async def _adaptive(self, url: str, ladder: MultivariantPlaylist) -> list[Follower]:
        """The server-switched playlist, where there is one."""
        answer = await self._prober.get(url, Kind.ADAPTIVE, gzip=True) if url else None
        if answer is None or answer.status == 404:
            return []
        view = view_of(answer)
        if not isinstance(view, MultivariantView):
            what = view.what if isinstance(view, Finding) else "a media playlist"
            self.notebook.add([Finding("R27", url, f"expected one variant, found {what}")])
            return []
        return await self._variants(url, Kind.ADAPTIVE, view, ladder)

    async def _variants(
        self, url: str, kind: Kind, view: MultivariantView, ladder: MultivariantPlaylist | None
    ) -> list[Follower]:
        self.notebook.looks[kind.value] += 1
        self.notebook.add(check_multivariant(view, ladder))
        media = Kind.SESSION if kind is Kind.ADAPTIVE else Kind.MEDIA
        followers = [
            self._follow(urljoin(url, v.uri), media, v, view.playlist.independent_segments)
            for v in view.playlist.variants
        ]
        await asyncio.gather(*(follower.look() for follower in followers))
        seen = next((f.views[-1] for f in followers if f.views), None)
        if seen is not None:
            answer = await self._prober.get(url, kind, gzip=True)
            target_duration_s = seen.playlist.target_duration_s
            self.notebook.add(http.check_response(answer, target_duration_s))
            self.notebook.add(
                http.check_options(await self._prober.ask("OPTIONS", url, kind, PREFLIGHT))
            )
        return followers

    def _follow(self, url: str, kind: Kind, variant: Variant | None, independent: bool) -> Follower:
        return Follower(
            url,
            kind,
            variant,
            independent,
            self._prober,
            self.notebook,
            self._segments,
            self._clock,
            self._sleep,
        )

    async def run(self, followers: list[Follower], until: float) -> None:
        """All playlists side by side, compared with each other now and then."""
        async with asyncio.TaskGroup() as group:
            for follower in followers:
                group.create_task(follower.run(until))
            group.create_task(self._compare(followers, until))

    async def _compare(self, followers: list[Follower], until: float) -> None:
        while self._clock.now() < until:
            await self._sleep(max(0.0, min(1.0, until - self._clock.now())))
            self.compare(followers)

    def compare(self, followers: list[Follower]) -> None:
        """What variants must share, in playlists and in media."""
        views = [follower.views[-1] for follower in followers if follower.views]
        self.notebook.add(check_variants(views))
        shared = [f.media for f in followers if f.kind is Kind.MEDIA and f.media]
        if not shared:
            return
        by_msn = {media.msn: media for media in shared[0]}
        for others in shared[1:]:
            for other in others:
                if (one := by_msn.get(other.msn)) is not None:
                    self.notebook.add(check_rungs(one, other))


async def check_stream(
    url: str,
    seconds: float,
    clock: Clock | None = None,
    adaptive_url: str | None = None,
    sleep: Sleep = asyncio.sleep,
) -> CheckReport:
    """Watch `url` for `seconds` and report what breaks the rules.

    `adaptive_url`: the server-switched playlist; None looks for `adaptive.m3u8` beside `url`, an
    empty text leaves it out. Raises RemoteError when `url` is not a playlist that can be had.
    """
    clock = clock or RealClock()
    began = clock.now()
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        checker = _Checker(Prober(session, clock), clock, sleep)
        followers = await checker.open(url, adaptive_url)
        await checker.run(followers, began + seconds)
    notebook = checker.notebook
    return CheckReport(url, clock.now() - began, tuple(notebook.findings), dict(notebook.looks))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `surgecast check`."""
    parser.description = "Watch a live stream from outside and list the HLS rules it breaks."
    parser.add_argument("url", help="multivariant playlist; its adaptive.m3u8 is checked as well")
    parser.add_argument("--seconds", type=seconds_above_0, default=60.0, help="default: 60")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Check and print; 0 when no rule was broken, 1 otherwise."""
    try:
        report = asyncio.run(check_stream(args.url, args.seconds))
    except RemoteError as error:
        sys.stderr.write(f"surgecast check: {error}\n")
        return 1
    if args.json:
        sys.stdout.write(json.dumps(report.as_dict()) + "\n")
    else:
        Console().print(_table(report))
    return 0 if report.clean else 1


def _table(report: CheckReport) -> Table:
    looks = ", ".join(f"{count} x {name}" for name, count in report.looks.items())
    title = f"{report.url}: {len(report.findings)} violations in {report.seconds:.0f} s"
    table = Table("rule", "where", "what", title=title, caption=looks)
    by_rule: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, found in by_rule.items():
        for finding in found[:SHOWN_MAX]:
            table.add_row(rule, finding.where, finding.what)
        if len(found) > SHOWN_MAX:
            table.add_row(rule, "", f"and {len(found) - SHOWN_MAX} more")
    return table
