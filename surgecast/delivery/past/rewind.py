"""The past of a channel over HTTP: `?dvr=1`, `?start=`, shows that ended, archived segments.

    /live/{channel}/index.m3u8?dvr=1[&start=TIME]          multivariant
    /live/{channel}/{rung}/media.m3u8?dvr=1[&start=TIME]   all that can be watched, and it grows
    /live/{channel}/vod/{show}.m3u8                        multivariant of a show that ended
    /live/{channel}/{rung}/vod-{show}.m3u8
    /live/{channel}/{rung}/{epoch}-{msn}.ts                when it has left the live window

Only requests that the table of routes does not know, or that ask for the past, come here. A file is
found through the archive's catalog alone: no part of a URL becomes part of a path.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from surgecast.clock import Clock
from surgecast.delivery.assets import PLAYLIST_TYPE, SEGMENT_TYPE, Asset, Refusal, Tally
from surgecast.delivery.past.dvr_playlists import Cut, DvrPlaylists, DvrText, parse_start, place
from surgecast.errors import RemoteError
from surgecast.hls.model import MultivariantPlaylist
from surgecast.hls.render import format_date_time, render_multivariant
from surgecast.media.archive import Archive, Held
from surgecast.media.catalog import Show
from surgecast.media.window import READY_SEGMENTS, BandwidthMeter, PlaylistText, Window

_NAME = r"[a-z0-9][a-z0-9_-]{0,31}"
_LIVE = re.compile(rf"/live/({_NAME})/(?:index|({_NAME})/media)\.m3u8")
_VOD = re.compile(rf"/live/({_NAME})/(?:vod/|({_NAME})/vod-)([0-9-]{{15}})\.m3u8")
_SEGMENT = re.compile(rf"/live/({_NAME})/({_NAME})/([0-9a-z]{{1,16}})-([0-9]{{1,18}})\.ts")
_WANTED = re.compile(r"(?:^|&)(?:dvr|start)=")


@dataclass(frozen=True, slots=True)
class Stored:
    """A segment that is sent from disk; `held` is to be closed."""

    held: Held
    asset: Asset
    """Its headers; it has no body."""


class Rewind:
    """Answers for all channels that have an archive."""

    def __init__(
        self,
        clock: Clock,
        tally: Callable[[str], Tally],
        window_of: Callable[[str], Window | None],
    ) -> None:
        self.archives: dict[str, Archive] = {}
        self._window_of = window_of
        self._clock = clock
        self._tally = tally
        self._playlists = DvrPlaylists()

    def wants(self, query: str) -> bool:
        """Whether a query asks for the past."""
        return _WANTED.search(query) is not None

    async def ask(self, path: str, query: str) -> Asset | Refusal | Stored | None:
        """What to answer; None for what is none of ours. Raises RemoteError, OSError."""
        if (match := _SEGMENT.fullmatch(path)) is not None:
            return await self._segment(match[1], match[2], match[3], int(match[4]))
        if (match := _VOD.fullmatch(path)) is not None:
            return self._vod(match[1], match[2], match[3])
        if self.wants(query) and (match := _LIVE.fullmatch(path)) is not None:
            return self._past(match[1], match[2], query)
        return None

    async def _segment(self, channel: str, rung: str, epoch: str, msn: int) -> Stored | None:
        archive = self.archives.get(channel)
        held = await archive.hold(msn, epoch, rung) if archive is not None else None
        if archive is None or held is None:
            return None
        asset = Asset(
            b"",
            SEGMENT_TYPE,
            lambda: f"public, max-age={archive.life_s(msn, self._clock.utc())}, immutable",
            self._tally("dvr_segment"),
            etag=f"{epoch}-{msn}-{rung}",
            ranged=True,
        )
        return Stored(held, asset)

    def _vod(self, channel: str, rung: str | None, name: str) -> Asset | Refusal | None:
        archive = self.archives.get(channel)
        show = archive.catalog.named(name) if archive is not None else None
        if show is None:
            return None
        max_age_s = max(1, show.target_duration_s // 2)
        if rung is None:
            uris = {r: f"../{r}/vod-{name}.m3u8" for r in show.rungs}
            return self._multivariant(show, uris, None, max_age_s)
        if rung not in show.rungs:
            return None
        text = self._playlists.text(show, Cut(show.first_listed, vod=True))
        return self._asset(text, "vod_playlist", max_age_s)

    def _past(self, channel: str, rung: str | None, query: str) -> Asset | Refusal | None:
        """Raises RemoteError."""
        values = dict(parse_qsl(query, keep_blank_values=True))
        if values.get("dvr", "1") == "0" and "start" not in values:
            return None
        if values.get("dvr", "1") != "1":
            raise RemoteError(f"dvr={values['dvr']!r} cannot be used; allowed are 0 and 1")
        archive = self.archives.get(channel)
        if archive is None:
            return Refusal(404, f"channel {channel} keeps no archive: dvr.enabled is not set")
        show = archive.catalog.current or archive.catalog.latest
        if show is None or len(show.entries) - show.listed_from < READY_SEGMENTS:
            return Refusal(404, "nothing is in the archive yet")
        if rung is not None and rung not in show.rungs:
            return None
        at = None
        if "start" in values:
            at = parse_start(values["start"], show, self._clock.utc())
        max_age_s = max(1, show.target_duration_s // 2)
        if rung is None:
            since = f"&start={format_date_time(at)}" if at is not None else ""
            uris = {r: f"{r}/media.m3u8?dvr=1{since}" for r in show.rungs}
            return self._multivariant(show, uris, self._window_of(channel), max_age_s)
        text = self._playlists.text(show, place(show, at))
        return self._asset(text, "dvr_playlist", max_age_s)

    def _multivariant(
        self, show: Show, uris: Mapping[str, str], window: Window | None, max_age_s: int
    ) -> Asset:
        """With rates as measured in the live window, where it shows the same rungs (rule R26)."""
        if window is not None and window.renditions != show.renditions:
            window = None
        variant = window.variant if window is not None else BandwidthMeter().variant
        variants = tuple(variant(rendition, uris[rendition.name]) for rendition in show.renditions)
        text = PlaylistText(render_multivariant(MultivariantPlaylist(variants)))
        return self._asset(text, "dvr_multivariant", max_age_s)

    def _asset(self, text: DvrText | PlaylistText, kind: str, max_age_s: int) -> Asset:
        return Asset(
            text.body,
            PLAYLIST_TYPE,
            lambda: f"max-age={max_age_s}",
            self._tally(kind),
            etag=text.etag,
            zipped=text.zipped,
        )
