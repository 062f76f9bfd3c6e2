"""Which segments to fetch and when to look again: playlists in, fetches out. No IO, no clock.

One tracker lives through a whole viewing. Variants share media sequence numbers (RFC 8216
section 6.2.4), so a switch to another variant keeps the place in the stream.
"""

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from player.places import rebased
from surgecast.hls.model import MediaPlaylist, MediaSegment

HOLD_BACK_TARGETS = 3
"""Start this many target durations from the live edge (RFC 8216 section 6.3.3)."""


class AnomalyKind(StrEnum):
    """What a server must not do, and what the tracker made of it."""

    STALE = "stale playlist"
    MSN_WENT_BACK = "media sequence went back"
    SEGMENTS_MISSED = "segments missed"
    URI_CHANGED = "segment URI changed"
    DISCONTINUITY_CHANGED = "discontinuity number changed"
    UNCHANGED = "blocking reload without news"


@dataclass(frozen=True, slots=True)
class Anomaly:
    kind: AnomalyKind
    detail: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """One segment to download."""

    msn: int
    url: str
    duration_s: float
    program_date_time: datetime | None = None
    discontinuity: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """What one look at the playlist led to."""

    queued: int
    reload_at: float
    anomalies: tuple[Anomaly, ...] = ()


class Tracker:
    """The place in one stream. `fetches` is what is to be downloaded, oldest first."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fetches: deque[Fetch] = deque()
        self.ended = False
        self._wanted_msn: int | None = None
        self._seen: MediaPlaylist | None = None

    def switch(self, url: str) -> None:
        """Go on with another variant; what was queued from this one is given up."""
        if url == self.url:
            return
        self.url = url
        self.ended = False
        self._seen = None
        if self.fetches:
            self._wanted_msn = self.fetches[0].msn
            self.fetches.clear()

    def again_from(self, msn: int, url: str) -> None:
        """Go on with another variant from `msn` on."""
        self.switch(url)
        self._wanted_msn = msn

    def move(self, url: str) -> None:
        """Go on with the same playlist on another server: what was seen must be there too."""
        there = (replace(fetch, url=rebased(fetch.url, self.url, url)) for fetch in self.fetches)
        self.fetches = deque(there)
        self.url = url

    def update(self, playlist: MediaPlaylist, loaded_at: float) -> Update:
        """Take a playlist that began to load at `loaded_at` (monotonic seconds).

        The next load is due one target duration after that when the playlist had changed, half
        of one when it had not (RFC 8216 section 6.3.4).
        """
        anomalies = self._compare(playlist)
        changed = self._seen is None or playlist != self._seen
        queued = 0
        if not any(anomaly.kind is AnomalyKind.STALE for anomaly in anomalies):
            self._seen = playlist
            self.ended = playlist.ended
            anomalies += self._place(playlist)
            queued = self._queue(playlist)
        wait_s = playlist.target_duration_s * (1.0 if changed else 0.5)
        return Update(queued, loaded_at + wait_s, tuple(anomalies))

    def take(self) -> Fetch | None:
        """The next segment to download, or None while there is none."""
        return self.fetches.popleft() if self.fetches else None

    def _compare(self, playlist: MediaPlaylist) -> list[Anomaly]:
        """What is wrong with `playlist` after the one seen before."""
        old = self._seen
        if old is None:
            return []
        first = max(old.media_sequence, playlist.media_sequence)
        common = range(first, min(old.next_msn, playlist.next_msn))
        changed = [msn for msn in common if not same_object(_uri(old, msn), _uri(playlist, msn))]
        if playlist.next_msn < old.next_msn:
            detail = f"the last segment went from {old.next_msn - 1} to {playlist.next_msn - 1}"
            if common and not changed:
                return [Anomaly(AnomalyKind.STALE, detail)]
            self._restart()
            return [Anomaly(AnomalyKind.MSN_WENT_BACK, detail)]
        found = [
            Anomaly(
                AnomalyKind.URI_CHANGED,
                f"segment {msn} was {_uri(old, msn)}, is {_uri(playlist, msn)}",
            )
            for msn in changed
        ]
        return found + renumbered(old, playlist, common)

    def _restart(self) -> None:
        """The numbers mean something else now: join again at the live edge."""
        self._wanted_msn = None
        self.fetches.clear()

    def _place(self, playlist: MediaPlaylist) -> list[Anomaly]:
        """Decide the next segment wanted, skipping what the window has lost."""
        wanted = self._wanted_msn
        if wanted is None:
            self._wanted_msn = start_msn(playlist)
            return []
        if wanted >= playlist.media_sequence:
            return []
        self._wanted_msn = playlist.media_sequence
        detail = f"{wanted} to {playlist.media_sequence - 1} left the window"
        return [Anomaly(AnomalyKind.SEGMENTS_MISSED, detail)]

    def _queue(self, playlist: MediaPlaylist) -> int:
        assert self._wanted_msn is not None
        queued = 0
        for msn in range(self._wanted_msn, playlist.next_msn):
            segment = playlist.segments[msn - playlist.media_sequence]
            self._wanted_msn = msn + 1
            if segment.gap:
                continue
            url = urljoin(self.url, segment.uri)
            moment = segment.program_date_time
            self.fetches.append(Fetch(msn, url, segment.duration_s, moment, segment.discontinuity))
            queued += 1
        return queued


def same_object(one: str, other: str) -> bool:
    """True where two URIs name the same object, on whatever server and with whatever query.

    Those are what a server may change in a line it has published (hls.js compares as much).
    """
    if one == other:
        return True
    paths = [urlsplit(uri).path.split("/")[-2:] for uri in (one, other)]
    shared = min(map(len, paths))
    return paths[0][-shared:] == paths[1][-shared:]


def renumbered(old: MediaPlaylist, new: MediaPlaylist, common: range) -> list[Anomaly]:
    """Rule R2: the discontinuity number of the first segment that is new in neither changed."""
    if not common or common[0] < max(old.first_msn, new.first_msn):
        return []
    was, now = discontinuity_number(old, common[0]), discontinuity_number(new, common[0])
    tags = [_discontinuities(playlist, common) for playlist in (old, new)]
    if was == now and tags[0] == tags[1]:
        return []
    detail = f"segment {common[0]} had number {was}, has {now}"
    return [Anomaly(AnomalyKind.DISCONTINUITY_CHANGED, detail)]


def discontinuity_number(playlist: MediaPlaylist, msn: int) -> int:
    """Of a listed segment: the tags up to it, those that have left included."""
    before = playlist.segments[: msn - playlist.first_msn + 1]
    return playlist.discontinuity_sequence + sum(segment.discontinuity for segment in before)


def _discontinuities(playlist: MediaPlaylist, msns: range) -> list[bool]:
    first = playlist.first_msn
    listed: tuple[MediaSegment, ...] = playlist.segments[msns[0] - first : msns[-1] - first + 1]
    return [segment.discontinuity for segment in listed[1:]]


def _uri(playlist: MediaPlaylist, msn: int) -> str:
    return playlist.segments[msn - playlist.media_sequence].uri


def start_msn(playlist: MediaPlaylist) -> int:
    """Where a viewer joins: the latest segment that starts at least 3 target durations before
    the end of a live playlist, the first segment of an ended one."""
    if playlist.ended:
        return playlist.media_sequence
    behind_s = 0.0
    for msn in range(playlist.next_msn - 1, playlist.media_sequence - 1, -1):
        behind_s += playlist.segments[msn - playlist.media_sequence].duration_s
        if behind_s >= HOLD_BACK_TARGETS * playlist.target_duration_s:
            return msn
    return playlist.media_sequence
