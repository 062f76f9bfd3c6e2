"""A low-latency channel with two rungs, parts of 0.4 s, and a restart of its encoder."""

from dataclasses import replace
from functools import lru_cache

from surgecast.hls.model import (
    MediaPlaylist,
    MediaSegment,
    OpenSegment,
    Part,
    PreloadHint,
    RenditionReport,
    ServerControl,
)
from tests.support import fragments
from tests.support.fragments import PART_S, PARTS, SEGMENT_S
from tests.support.show_model import CORS, RUNGS, Asked, At, Later, Reply, Show, moment

WINDOW, KEPT = 10, 26
FIRST_PART = 30 * PARTS + 2
"""Parts before this one are there when the clock begins."""
RESTARTED_MSN = 32
WITH_PARTS = 3
PARTS_KEPT_S = 14.0
ADVANCE_MAX = int(3 / PART_S)


def epoch(msn: int) -> int:
    return 8 if msn >= RESTARTED_MSN else 7


class LlShow(Show):
    """`ll.m3u8`; a part every 0.4 s."""

    entry = "ll.m3u8"
    rung_path = "ll/{}/media.m3u8"

    def parts(self, now: float) -> int:
        """How many parts there have been."""
        return FIRST_PART + int(now / PART_S + 1e-9)

    def published_at(self, part: int) -> float:
        return (part + 1 - FIRST_PART) * PART_S

    def object(self, asked: Asked, now: float) -> Reply | Later | None:
        if asked.path == "ll.m3u8":
            return self.multivariant(At(now, "", asked.path, asked.query))
        place = asked.path.split("/")
        if len(place) != 3 or place[0] != "ll" or place[1] not in RUNGS:
            return None
        at = At(now, place[1], asked.path, asked.query)
        if place[2] == "media.m3u8":
            return self._playlist(at)
        return self._file(at, place[2])

    # Playlists.

    def _playlist(self, at: At) -> Reply | Later | None:
        refused = self._refused(at)
        if refused is not None:
            return refused
        query = at.query
        wanted = None
        if "_HLS_msn" in query:
            msn = int(query["_HLS_msn"])
            wanted = msn * PARTS + min(int(query.get("_HLS_part", PARTS - 1)), PARTS)
        if wanted is not None and wanted >= self.parts(at.now):
            return Later(self.published_at(wanted))
        playlist = self.playlist(at.now, at.rung)
        skip = _skippable(playlist) if query.get("_HLS_skip") == "YES" else 0
        if skip:
            playlist = _delta(playlist, skip)
        return self.media(at, playlist, "max-age=12" if wanted is not None else "max-age=1")

    def _refused(self, at: At) -> Reply | None:
        """R36, R37."""
        msn, part = at.query.get("_HLS_msn"), at.query.get("_HLS_part")
        if msn is None and part is None:
            return None
        if msn is None or not msn.isdecimal() or not (part or "0").isdecimal():
            return Reply(400, {**CORS, "cache-control": "no-store"})
        open_msn, open_parts = divmod(self.parts(at.now), PARTS)
        first = open_parts - 1 if int(msn) == open_msn else -1
        late = int(msn) >= open_msn and part is not None and int(part) - first > ADVANCE_MAX
        if int(msn) > open_msn + 1 or late:
            return Reply(400, {**CORS, "cache-control": "no-store"})
        return None

    def playlist(self, now: float, rung: str) -> MediaPlaylist:
        count = self.parts(now)
        open_msn, open_parts = divmod(count, PARTS)
        first = open_msn - WINDOW
        others = [other for other in RUNGS if other != rung]
        last = divmod(count - 1, PARTS)
        return MediaPlaylist(
            target_duration_s=2,
            media_sequence=first,
            discontinuity_sequence=int(first > RESTARTED_MSN),
            segments=tuple(_segment(msn, open_msn) for msn in range(first, open_msn)),
            server_control=ServerControl(True, 6.0, 3 * PART_S, 12.0),
            part_target_s=PART_S,
            open_segment=_open(open_msn, open_parts) if open_parts else None,
            preload_hints=(PreloadHint(self._hinted(count)),),
            rendition_reports=tuple(
                RenditionReport(f"../{other}/media.m3u8", *last) for other in others
            ),
        )

    def _hinted(self, count: int) -> str:
        """As a server knows it: from the encoder that runs."""
        msn, index = divmod(count, PARTS)
        return f"{epoch((count - 1) // PARTS)}-{msn}.{index}.m4s"

    # Files.

    def _file(self, at: At, name: str) -> Reply | Later | None:
        width, height, _ = RUNGS[at.rung]
        if name in ("7-init.mp4", "8-init.mp4"):
            recipe = self.recipe(at, -1, {"width": width, "height": height})
            return self.bytes(_init(**recipe), "video/mp4")
        run, _, rest = name.removesuffix(".m4s").partition("-")
        msn_text, dot, index_text = rest.partition(".")
        if not (msn_text.isdecimal() and (index_text.isdecimal() or not dot)):
            return None
        msn, index = int(msn_text), int(index_text or PARTS - 1)
        part = msn * PARTS + index
        if part > self.parts(at.now) or int(run) != epoch(msn):
            return None
        if part == self.parts(at.now):
            return Later(self.published_at(part)) if dot else None
        age_s = at.now - self.published_at(part)
        if age_s > (PARTS_KEPT_S if dot else KEPT * SEGMENT_S):
            return None
        indexes = [index] if dot else range(PARTS)
        body = b"".join(self._chunk(at, msn, one) for one in indexes)
        return self.bytes(body, "video/mp4")

    def _chunk(self, at: At, msn: int, index: int) -> bytes:
        return _chunk(**self.recipe(at, msn, {"msn": msn, "index": index}))


def _part(msn: int, index: int) -> Part:
    return Part(f"{epoch(msn)}-{msn}.{index}.m4s", PART_S, independent=index == 0)


def _segment(msn: int, open_msn: int) -> MediaSegment:
    near = msn > open_msn - WITH_PARTS
    return MediaSegment(
        f"{epoch(msn)}-{msn}.m4s",
        SEGMENT_S,
        moment(msn * SEGMENT_S),
        discontinuity=msn == RESTARTED_MSN,
        map_uri=f"{epoch(msn)}-init.mp4",
        parts=tuple(_part(msn, index) for index in range(PARTS)) if near else (),
    )


def _open(msn: int, parts: int) -> OpenSegment:
    return OpenSegment(
        tuple(_part(msn, index) for index in range(parts)),
        moment(msn * SEGMENT_S),
        discontinuity=msn == RESTARTED_MSN,
        map_uri=f"{epoch(msn)}-init.mp4",
    )


def _skippable(playlist: MediaPlaylist) -> int:
    last = playlist.open_segment
    behind_s = last.duration_s if last else 0.0
    count = len(playlist.segments)
    while count and behind_s < 12.0:
        count -= 1
        behind_s += playlist.segments[count].duration_s
    return count


def _delta(playlist: MediaPlaylist, skip: int) -> MediaPlaylist:
    """Tags of the segments that are left stay as they are; EXT-X-MAP is said where it changes."""
    known = playlist.segments[skip - 1].map_uri
    segments, last = playlist.segments[skip:], playlist.open_segment
    told = tuple(replace(s, map_uri=None if s.map_uri == known else s.map_uri) for s in segments)
    if last is not None and last.map_uri == known:
        last = replace(last, map_uri=None)
    return replace(playlist, segments=told, skipped_segments=skip, open_segment=last, version=9)


@lru_cache(maxsize=2048)
def _chunk(**recipe: object) -> bytes:
    return fragments.chunk(**recipe)


@lru_cache(maxsize=64)
def _init(**recipe: object) -> bytes:
    return fragments.init(**recipe)  # type: ignore[arg-type]
