"""The live window: the newest segments of a channel in memory, and the playlists that list them.

Pure: no IO and no clock. Time is counted in media sequence numbers, so that what is listed, what
is only kept and what is gone follows from the publishes alone. Rules R1 to R8, R22 and R23 of
RFC 8216 and its successor are kept here; sessions with rungs of their own are not (see
`surgecast.delivery.sessions.table`).
"""

import gzip
import hashlib
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from pydantic import Field

from surgecast.config import Settings
from surgecast.errors import LocalError
from surgecast.hls.model import MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.render import render_media_header, render_multivariant, render_segment
from surgecast.media.remote import Payload, bytes_held
from surgecast.media.segment import Rendition, SegmentSet

READY_SEGMENTS = 3
"""Fewer listed segments than this and a player has nothing to hold back from (RFC 8216 6.3.3)."""

_MEASURED_SEGMENTS_MIN = 10
"""A measured average says little before this many segments."""

_GZIP_LEVEL = 6


class WindowSettings(Settings):
    """How much of a channel is listed."""

    window_segments: int = Field(
        default=10,
        ge=6,
        le=1000,
        description="segments listed in a playlist; players want at least 6",
    )


class PlaylistText:
    """A rendered playlist: its bytes, the same compressed, and a tag that names this version."""

    __slots__ = ("_zipped", "body", "etag")

    def __init__(self, text: str) -> None:
        self.body = text.encode()
        self.etag = hashlib.blake2b(self.body, digest_size=9).hexdigest()
        self._zipped: bytes | None = None

    @property
    def zipped(self) -> bytes:
        """gzip of `body`, made once; the same body gives the same bytes."""
        if self._zipped is None:
            self._zipped = gzip.compress(self.body, _GZIP_LEVEL, mtime=0)
        return self._zipped


class Measured(NamedTuple):
    """What a meter has seen of one rung so far."""

    peak_bps: int = 0
    bits: int = 0
    seconds: float = 0.0
    segments: int = 0


class BandwidthMeter:
    """Peak and average rate of one rung as RFC 8216 section 4.3.4.2 defines them, bit/s.

    Slates are left out, and so are the bytes of another rung: they say nothing of what it needs.
    """

    __slots__ = ("measured",)

    def __init__(self) -> None:
        self.measured = Measured()

    def add(self, payload_bytes: int, duration_s: float) -> None:
        bits = 8 * payload_bytes
        seen = self.measured
        self.measured = Measured(
            max(seen.peak_bps, math.ceil(bits / duration_s)),
            seen.bits + bits,
            seen.seconds + duration_s,
            seen.segments + 1,
        )

    @property
    def peak_bps(self) -> int:
        return self.measured.peak_bps

    @property
    def average_bps(self) -> int | None:
        """None until enough segments were seen."""
        if self.measured.segments < _MEASURED_SEGMENTS_MIN:
            return None
        return math.ceil(self.measured.bits / self.measured.seconds)

    def variant(self, rendition: Rendition, uri: str) -> Variant:
        """One variant with rates no lower than measured (rule R26)."""
        peak_bps = max(rendition.declared_peak_bps, self.peak_bps)
        average_bps = self.average_bps or rendition.declared_average_bps
        return Variant(
            uri=uri,
            peak_bps=peak_bps,
            average_bps=min(average_bps, peak_bps),
            codecs=rendition.codecs,
            width=rendition.width,
            height=rendition.height,
            frame_rate=float(rendition.frame_rate),
        )


def rounded_target_duration_s(segment_duration_s: Fraction) -> int:
    """What EXT-X-TARGETDURATION says where segments last that long.

    Half a second up is the next: what EXTINF rounds to never exceeds it (rule R7).
    """
    return max(1, math.floor(segment_duration_s + Fraction(1, 2)))


Listener = Callable[[SegmentSet, Sequence[SegmentSet]], None]
"""Called after each publish with the set that is listed now and the sets that are gone."""


class Window:
    """The last segments of every rung as immutable bytes.

    `next_msn` is the number of the first set to come, `discontinuity_sequence` the number of
    EXT-X-DISCONTINUITY tags on all sets before it; `kept` are older sets, oldest first, that can
    be downloaded but are not listed. All come from the journal after a restart.
    """

    def __init__(
        self,
        renditions: tuple[Rendition, ...],
        segment_duration_s: Fraction,
        settings: WindowSettings,
        *,
        next_msn: int = 0,
        discontinuity_sequence: int = 0,
        kept: Sequence[SegmentSet] = (),
    ) -> None:
        if not renditions or next_msn < 0 or discontinuity_sequence < 0:
            raise LocalError("a window needs a rendition, and numbers that are not negative")
        self.renditions = renditions
        self.segment_duration_s = segment_duration_s
        self.target_duration_s = rounded_target_duration_s(segment_duration_s)
        self.listed_max = settings.window_segments
        self.kept_max = 2 * settings.window_segments + 4
        """Listed sets, and as many more as last one playlist and one segment (rule R23), one for
        playlists that a cache hands out half a target duration late, and two for an encoder that
        makes up for lost time: its segments come faster than they last."""
        self.next_msn = next_msn
        self.discontinuity_sequence = discontinuity_sequence
        self.archived_s = 0.0
        """How much longer segments can be downloaded, because an archive has them."""
        self.ended = False
        """True once the show is over: nothing is published any more."""
        self._kept: dict[int, SegmentSet] = {old.msn: old for old in kept}
        if any(msn >= next_msn for msn in self._kept):
            raise LocalError(f"only sets before {next_msn} can be kept")
        self.bytes_held = sum(map(_size, kept))
        self._listed: deque[SegmentSet] = deque()
        self._lines: dict[str, deque[str]] = {r.name: deque() for r in renditions}
        self._playlists: dict[str, PlaylistText] = {}
        self._meters = {rendition.name: BandwidthMeter() for rendition in renditions}
        self._listeners: list[Listener] = []

    # What is there.

    @property
    def listed(self) -> Sequence[SegmentSet]:
        """The sets that playlists name, oldest first."""
        return self._listed

    @property
    def kept(self) -> Sequence[SegmentSet]:
        """Every set that can be downloaded, oldest first."""
        return tuple(self._kept.values())

    @property
    def first_msn(self) -> int:
        """What EXT-X-MEDIA-SEQUENCE says."""
        return self.next_msn - len(self._listed)

    @property
    def ready(self) -> bool:
        """False while too little is listed for a player to start."""
        return len(self._listed) >= READY_SEGMENTS

    @property
    def discontinuity_number(self) -> int:
        """Discontinuity sequence number of the newest set."""
        return self.discontinuity_sequence + sum(s.discontinuity for s in self._listed)

    @property
    def bytes_bound(self) -> int:
        """What the window holds at most while rungs keep their declared peak."""
        peak_bps = sum(rendition.declared_peak_bps for rendition in self.renditions)
        return math.ceil(peak_bps * self.segment_duration_s / 8) * self.kept_max

    def life_s(self, msn: int) -> float:
        """How long an object of `msn` can still be downloaded."""
        kept_s = float((msn + self.kept_max - self.next_msn) * self.segment_duration_s)
        return max(0.0, kept_s) + self.archived_s

    def payload(self, msn: int, rung: str) -> Payload | None:
        kept = self._kept.get(msn)
        return None if kept is None else kept.payloads.get(rung)

    def playlist(self, rung: str) -> PlaylistText | None:
        """The media playlist of a rung; None while the window is not ready or has no such rung."""
        return self._playlists.get(rung) if self.ready else None

    def variant(self, rendition: Rendition, uri: str) -> Variant:
        """One variant with rates no lower than measured (rule R26)."""
        return self._meters[rendition.name].variant(rendition, uri)

    def multivariant(self, folder: str = "") -> PlaylistText:
        """The multivariant playlist of all rungs; `folder` leads from it to theirs."""
        variants = tuple(self.variant(r, f"{folder}{r.name}/media.m3u8") for r in self.renditions)
        return PlaylistText(render_multivariant(MultivariantPlaylist(variants)))

    def header(self, discontinuity_sequence: int, first_msn: int | None = None) -> str:
        """The tags before the first segment, for this window under the number given."""
        return render_media_header(
            target_duration_s=self.target_duration_s,
            media_sequence=self.first_msn if first_msn is None else first_msn,
            discontinuity_sequence=discontinuity_sequence,
        )

    # What happens to it.

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each publish; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, segments: SegmentSet) -> None:
        """Store one set, then list it, then drop what is too old. Raises LocalError.

        A refused set changes nothing.
        """
        self.check(segments)
        self._kept[segments.msn] = segments
        self.bytes_held += _size(segments)
        self._measure(segments)
        self._list(segments)
        gone = self._drop()
        for listener in tuple(self._listeners):
            listener(segments, gone)

    def resume(
        self, next_msn: int, discontinuity_sequence: int, kept: Sequence[SegmentSet]
    ) -> None:
        """Begin anew further on, as a relay must that missed what its upstream keeps no more.

        Nothing is listed then; `kept` can be downloaded beside what could be before. Raises
        LocalError where a number would go back (rules R4 and R5).
        """
        if next_msn < self.next_msn or discontinuity_sequence < self.discontinuity_number:
            raise LocalError(f"a window at {self.next_msn} cannot begin anew at {next_msn}")
        if any(old.msn >= next_msn for old in kept):
            raise LocalError(f"only sets before {next_msn} can be kept")
        self._listed.clear()
        for lines in self._lines.values():
            lines.clear()
        self.next_msn, self.discontinuity_sequence = next_msn, discontinuity_sequence
        new = {old.msn: old for old in kept if old.msn not in self._kept}
        self.bytes_held += sum(map(_size, new.values()))
        self._kept = dict(sorted((self._kept | new).items()))

    @property
    def measured(self) -> dict[str, Measured]:
        """What was seen of each rung so far."""
        return {rung: meter.measured for rung, meter in self._meters.items()}

    def set_measured(self, measured: Mapping[str, Measured]) -> None:
        """Go on from what another window has seen of the same rungs."""
        for rung, meter in self._meters.items():
            meter.measured = measured[rung]

    def end(self) -> None:
        """The show is over: playlists say so and never change again (RFC 8216 section 6.2.1)."""
        self.ended = True
        self._render()

    @property
    def foot(self) -> str:
        """The tags after the last segment."""
        return "#EXT-X-ENDLIST\n" if self.ended else ""

    def check(self, segments: SegmentSet) -> None:
        """Raise LocalError if this set cannot be the next one."""
        if self.ended:
            raise LocalError(f"segment {segments.msn} published after the end")
        if segments.msn != self.next_msn:
            raise LocalError(f"segment {segments.msn} published where {self.next_msn} is next")
        expected = {rendition.name for rendition in self.renditions}
        if set(segments.payloads) != expected or not all(segments.payloads.values()):
            raise LocalError(f"segment {segments.msn} must have bytes for {sorted(expected)}")
        rounded_s = math.floor(segments.duration_s + 0.5)
        if segments.duration_s <= 0 or rounded_s > self.target_duration_s:
            raise LocalError(
                f"segment {segments.msn} lasts {segments.duration_s} s, more than the target "
                f"duration of {self.target_duration_s} s allows"
            )

    def _measure(self, segments: SegmentSet) -> None:
        if segments.slate:
            return
        measured: Payload = b""
        for rendition in reversed(self.renditions):
            payload = segments.payloads[rendition.name]
            # A rung that stands in for one that is shed says nothing of the other's rates.
            if payload != measured:
                self._meters[rendition.name].add(len(payload), segments.duration_s)
            measured = payload

    def _list(self, segments: SegmentSet) -> None:
        self._listed.append(segments)
        if len(self._listed) > self.listed_max:
            self.discontinuity_sequence += self._listed.popleft().discontinuity
        self.next_msn += 1
        for lines in self._lines.values():
            lines.append(render_line(segments, f"{segments.epoch}-{segments.msn}.ts"))
            if len(lines) > self.listed_max:
                lines.popleft()
        self._render()

    def _render(self) -> None:
        header = self.header(self.discontinuity_sequence)
        for rung, lines in self._lines.items():
            self._playlists[rung] = PlaylistText(header + "".join(lines) + self.foot)

    def _drop(self) -> list[SegmentSet]:
        oldest_msn = self.next_msn - self.kept_max
        gone = [self._kept.pop(msn) for msn in list(self._kept) if msn < oldest_msn]
        self.bytes_held -= sum(map(_size, gone))
        return gone


def render_line(segments: SegmentSet, uri: str, *, switched: bool = False) -> str:
    """The lines of one segment under `uri`; one discontinuity tag, whatever the reasons for it."""
    return render_segment(
        MediaSegment(
            uri=uri,
            duration_s=segments.duration_s,
            program_date_time=segments.program_date_time,
            discontinuity=segments.discontinuity or switched,
        )
    )


def _size(segments: SegmentSet) -> int:
    return sum(map(bytes_held, segments.payloads.values()))
