"""The place in a low-latency stream: playlists in, pieces and reloads out. No IO, no clock.

A *piece* is what one request brings: a part near the live edge, a whole segment further back, or
the initialization section both need. A playlist is asked for with the number of the part wanted
next, so the server answers the moment there is news (RFC 8216bis sections 6.2.5 and 6.3).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from urllib.parse import urljoin

from player.places import rebased
from player.tracker import Anomaly, AnomalyKind
from surgecast.errors import RemoteError
from surgecast.hls.delta import merge
from surgecast.hls.model import MediaPlaylist, Part

HOLD_BACK_PARTS = 3
"""Distance from the live edge in part targets where the server names none (rule R42)."""
_TINY_S = 1e-6


class Kind(Enum):
    INIT = "initialization section"
    PART = "part"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True)
class Piece:
    """One download."""

    kind: Kind
    url: str
    msn: int
    part: int = 0
    duration_s: float = 0.0
    lead_s: float = 0.0
    """Of its beginning: needed to decode what follows, or seen already, and not to be shown."""
    program_date_time: datetime | None = None
    """Of its first frame."""

    @property
    def shown_s(self) -> float:
        return self.duration_s - self.lead_s

    @property
    def shown_from(self) -> datetime | None:
        """The date of the first frame that is shown."""
        if self.program_date_time is None:
            return None
        return self.program_date_time + timedelta(seconds=self.lead_s)


@dataclass(frozen=True, slots=True)
class Reload:
    """The next look at the playlist. `msn` is None where the server shall answer at once."""

    url: str
    msn: int | None = None
    part: int | None = None
    skip: bool = False

    @property
    def blocking(self) -> bool:
        return self.msn is not None


@dataclass(slots=True)
class _Place:
    """What is wanted next. `offset_s` of that segment have been taken already."""

    msn: int
    part: int = 0
    offset_s: float = 0.0
    lead_until_s: float = 0.0
    """Where in that segment the show begins; only at a join."""


def why_plain(playlist: MediaPlaylist) -> str | None:
    """Why this playlist cannot be played with low latency; None where it can (rule R42)."""
    control = playlist.server_control
    if playlist.part_target_s is None:
        return "no EXT-X-PART-INF in its playlist"
    if control is None or not control.can_block_reload:
        return "its playlist does not say CAN-BLOCK-RELOAD=YES"
    return "it has ended" if playlist.ended else None


def hold_back_s(playlist: MediaPlaylist) -> float:
    """Distance from the live edge to play at: PART-HOLD-BACK."""
    control = playlist.server_control
    if control is not None and control.part_hold_back_s is not None:
        return control.part_hold_back_s
    return HOLD_BACK_PARTS * (playlist.part_target_s or playlist.target_duration_s)


class PartTracker:
    """One viewer's place. `pieces` is what is to be downloaded, in the order of play."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pieces: deque[Piece] = deque()
        self.ended = False
        self._seen: MediaPlaylist | None = None
        self._seen_at = 0.0
        self._place: _Place | None = None
        self._map_url: str | None = None
        self._wish: str | None = None
        self._after: tuple[int, int] | None = None

    @property
    def playlist(self) -> MediaPlaylist | None:
        """The newest, whole."""
        return self._seen

    @property
    def hint(self) -> str | None:
        """What to ask for ahead of its being listed (rule R43)."""
        if self._seen is None or self.ended:
            return None
        hints = [hint.uri for hint in self._seen.preload_hints if hint.kind == "PART"]
        return urljoin(self.url, hints[0]) if hints else None

    def switch(self, url: str) -> None:
        """Go on with another rendition from the next segment: there it can be decoded."""
        self._wish = None if url == self.url else url
        self._switch_when_possible()

    def move(self, url: str) -> None:
        """Go on with the same rendition on another server: what was seen must be there too."""
        if self.url != url:
            there = (replace(p, url=rebased(p.url, self.url, url)) for p in self.pieces)
            self.pieces = deque(there)
            self.url, self._wish = url, None
            self._map_url = None

    def reload(self, now: float) -> Reload:
        """The next look.

        A delta is asked for only while the playlist it builds on is younger than half the skip
        boundary (RFC 8216bis section 6.2.5.1).
        """
        if self._seen is None:
            return Reload(self.url, *(self._after or ()))
        msn, part = _next_of(self._seen)
        control = self._seen.server_control
        skip_s = control.can_skip_until_s if control is not None else None
        skip = skip_s is not None and now - self._seen_at < skip_s / 2
        return Reload(self.url, msn, part, skip)

    def forget(self) -> None:
        """The next look is at the whole playlist and does not wait: what was known is no use."""
        self._seen = None
        self._after = None

    def update(self, update: MediaPlaylist, loaded_at: float, asked: Reload) -> list[Anomaly]:
        """Take the answer to `asked` that began to load at `loaded_at` (monotonic seconds).

        What is wanted of it joins `pieces`; returned is what the server must not do. Raises
        RemoteError for a delta update that does not fit: `forget` and look again.
        """
        if update.skipped_segments and self._seen is None:
            raise RemoteError("a delta update came where the whole playlist was asked for")
        playlist = merge(self._seen, update) if self._seen is not None else update
        anomalies = self._compare(playlist, asked)
        if any(anomaly.kind is AnomalyKind.STALE for anomaly in anomalies):
            return anomalies
        self._seen, self._seen_at = playlist, loaded_at
        self.ended = playlist.ended
        anomalies += self._find_place(playlist)
        self.pieces.extend(self._wanted(playlist))
        self._switch_when_possible()
        return anomalies

    def take(self) -> Piece | None:
        """The next piece to download, or None while there is none."""
        return self.pieces.popleft() if self.pieces else None

    def _rejoin(self) -> None:
        """Give up the place: the next update joins at the live edge."""
        self._place = None
        self.pieces.clear()

    def _compare(self, playlist: MediaPlaylist, asked: Reload) -> list[Anomaly]:
        """What is wrong with `playlist` as an answer, and after the one seen before."""
        found = []
        if asked.msn is not None and not playlist.ended:
            wanted, newest = (asked.msn, asked.part or 0), _next_of(playlist)
            if newest <= wanted:
                detail = f"asked for {wanted[0]}.{wanted[1]}, the playlist ends before it"
                found.append(Anomaly(AnomalyKind.UNCHANGED, detail))
        if self._seen is None:
            return found
        then, now = _next_of(self._seen), _next_of(playlist)
        if now < then:
            detail = f"the live edge went from {then[0]}.{then[1]} to {now[0]}.{now[1]}"
            if _same_start(self._seen, playlist):
                return [Anomaly(AnomalyKind.STALE, detail)]
            self._rejoin()
            return [Anomaly(AnomalyKind.MSN_WENT_BACK, detail)]
        return found + self._changed(self._seen, playlist)

    @staticmethod
    def _changed(old: MediaPlaylist, new: MediaPlaylist) -> list[Anomaly]:
        known = dict(_names(old))
        return [
            Anomaly(AnomalyKind.URI_CHANGED, f"{place[0]}.{place[1]} was {known[place]}, is {uri}")
            for place, uri in _names(new)
            if known.get(place, uri) != uri
        ]

    def _find_place(self, playlist: MediaPlaylist) -> list[Anomaly]:
        """Join, or notice that the window has moved past what was wanted."""
        place = self._place
        if place is None:
            self._place = _joined(playlist)
            return []
        if place.msn > playlist.next_msn + 1:
            self._rejoin()
            self._place = _joined(playlist)
            detail = f"wanted is {place.msn}, the live edge is {playlist.next_msn}"
            return [Anomaly(AnomalyKind.MSN_WENT_BACK, detail)]
        if place.msn >= playlist.first_msn:
            return []
        detail = f"{place.msn} to {playlist.first_msn - 1} left the window"
        self._place = _Place(playlist.first_msn)
        return [Anomaly(AnomalyKind.SEGMENTS_MISSED, detail)]

    def _wanted(self, playlist: MediaPlaylist) -> Iterator[Piece]:
        """Everything listed from the place on, moving the place past it."""
        place = self._place
        assert place is not None
        for msn in range(place.msn, playlist.next_msn):
            segment = playlist.segments[msn - playlist.first_msn]
            if not segment.gap:
                yield from self._init(segment.map_uri, msn)
                date = segment.program_date_time
                if place.part and place.part <= len(segment.parts):
                    yield from self._parts(segment.parts, date)
                elif place.part == 0 or segment.duration_s - place.offset_s > _TINY_S:
                    yield self._whole(segment.uri, segment.duration_s, date)
            self._place = place = _Place(msn + 1)
        last = playlist.open_segment
        if last is not None and place.msn == playlist.next_msn:
            yield from self._init(last.map_uri, place.msn)
            yield from self._parts(last.parts, last.program_date_time)

    def _whole(self, uri: str, duration_s: float, date: datetime | None) -> Piece:
        place = self._place
        assert place is not None
        lead_s = min(duration_s, max(place.offset_s, place.lead_until_s))
        url = urljoin(self.url, uri)
        return Piece(Kind.SEGMENT, url, place.msn, 0, duration_s, lead_s, date)

    def _parts(self, parts: tuple[Part, ...], date: datetime | None) -> Iterator[Piece]:
        place = self._place
        assert place is not None
        for part in parts[place.part :]:
            start_s, end_s = place.offset_s, place.offset_s + part.duration_s
            lead_s = min(part.duration_s, max(0.0, place.lead_until_s - start_s))
            if not part.gap:
                moment = None if date is None else date + timedelta(seconds=start_s)
                url = urljoin(self.url, part.uri)
                number = (place.msn, place.part)
                yield Piece(Kind.PART, url, *number, part.duration_s, lead_s, moment)
            place.part += 1
            place.offset_s = end_s

    def _init(self, uri: str | None, msn: int) -> Iterator[Piece]:
        url = None if uri is None else urljoin(self.url, uri)
        if url is not None and url != self._map_url:
            self._map_url = url
            yield Piece(Kind.INIT, url, msn)

    def _switch_when_possible(self) -> None:
        """Change over where a segment begins, with the number the report says is safe to ask."""
        place, wish = self._place, self._wish
        if wish is None or place is None or place.part:
            return
        self._after = self._reported(wish)
        self.url, self._wish, self._seen = wish, None, None
        self.ended = False

    def _reported(self, url: str) -> tuple[int, int] | None:
        """The newest part of another rendition, from its EXT-X-RENDITION-REPORT (rule R46)."""
        reports = self._seen.rendition_reports if self._seen is not None else ()
        for report in reports:
            if urljoin(self.url, report.uri) == url and report.last_msn is not None:
                return report.last_msn, report.last_part or 0
        return None


def _next_of(playlist: MediaPlaylist) -> tuple[int, int]:
    """The part that will be listed next: its segment and its place there."""
    last = playlist.open_segment
    return playlist.next_msn, len(last.parts) if last is not None else 0


def _names(playlist: MediaPlaylist) -> Iterator[tuple[tuple[int, int], str]]:
    """(msn, part) -> URI of everything listed; a whole segment is part -1."""
    for msn, segment in enumerate(playlist.segments, playlist.first_msn):
        yield (msn, -1), segment.uri
        yield from (((msn, index), part.uri) for index, part in enumerate(segment.parts))
    if playlist.open_segment is not None:
        parts = enumerate(playlist.open_segment.parts)
        yield from (((playlist.next_msn, index), part.uri) for index, part in parts)


def _same_start(old: MediaPlaylist, new: MediaPlaylist) -> bool:
    """True where both name the same objects as far as both go: one is an older copy."""
    known, seen = dict(_names(old)), dict(_names(new))
    common = known.keys() & seen.keys()
    return bool(common) and all(known[place] == seen[place] for place in common)


def _joined(playlist: MediaPlaylist) -> _Place:
    """Where to begin: at the hold-back from the live edge, and decoding from the last place
    before it that can be decoded from (RFC 8216bis section 6.3.3)."""
    behind_s = hold_back_s(playlist)
    last = playlist.open_segment
    parents = [(segment.duration_s, segment.parts) for segment in playlist.segments]
    if last is not None:
        parents.append((last.duration_s, last.parts))
    index = len(parents)
    while index and behind_s > _TINY_S:
        index -= 1
        behind_s -= parents[index][0]
    place = _Place(playlist.first_msn + index, lead_until_s=max(0.0, -behind_s))
    if index == len(parents):
        return place
    parts = parents[index][1]
    start_s = 0.0
    for number, part in enumerate(parts):
        if start_s > place.lead_until_s + _TINY_S:
            break
        if part.independent:
            place.part, place.offset_s = number, start_s
        start_s += part.duration_s
    return place


def with_directives(reload: Reload) -> str:
    """The URL of a reload. The query it has may be signed, so it stays as it is."""
    directives = []
    if reload.msn is not None:
        directives.append(f"_HLS_msn={reload.msn}")
    if reload.part is not None:
        directives.append(f"_HLS_part={reload.part}")
    if reload.skip:
        directives.append("_HLS_skip=YES")
    if not directives:
        return reload.url
    return reload.url + ("&" if "?" in reload.url else "?") + "&".join(directives)
