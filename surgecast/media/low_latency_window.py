"""The low-latency window: parts and segments of a channel in memory, and the playlists of them.

Pure, as `surgecast.media.window` is: what is listed, what is only kept and what is gone follows
from the parts published alone. Time is counted along the published media.

    part published ─► listed under its parent ─► parent whole: listed as a segment
                                                   │ 3 target durations old: parts unlisted (R44)
                                                   │ window full: segment unlisted (R6)
                                                   ▼ as long again: objects dropped (R23, R44)

Lines are rendered when a part comes, playlists when they are asked for, and each only once.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

from surgecast.errors import LocalError
from surgecast.hls.model import (
    MultivariantPlaylist,
    PreloadHint,
    RenditionReport,
    ServerControl,
    Variant,
)
from surgecast.hls.render import (
    render_edge,
    render_media_header,
    render_multivariant,
    render_skip,
)
from surgecast.media.parent import Parent, Stored, base_name
from surgecast.media.part import PartSet
from surgecast.media.remote import bytes_held
from surgecast.media.segment import Rendition
from surgecast.media.window import (
    READY_SEGMENTS,
    BandwidthMeter,
    Measured,
    PlaylistText,
    WindowSettings,
    rounded_target_duration_s,
)

_PARENTS_WITH_PARTS_MAX = 3
"""Newest segments whose parts are listed; fewer where they are long. The open one is among them,
and where it has no part yet, the hint stands for it."""

_TOLERANCE_S = 1e-6

_VERSION = 6
_DELTA_VERSION = 9
"""EXT-X-SKIP needs it; nothing else here needs more than 6 (rule R58)."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Something that can be downloaded."""

    payload: Stored
    kept_until_s: float
    """On the window's own count of published seconds."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What one part changed. Names are paths below `/live/{channel}/`."""

    parts: PartSet | None
    """None where the show ended."""
    added: Sequence[str]
    """What can be downloaded now, or has its bytes in another place now."""
    gone: Sequence[str]


Listener = Callable[[Publication], None]


class LowLatencyWindow:
    """The newest segments of every rung, in parts.

    `part_target_s` is the longest a part may last. `next_msn` and `discontinuity_sequence` are
    what they are for `Window`, counted apart.
    """

    def __init__(
        self,
        renditions: tuple[Rendition, ...],
        segment_duration_s: Fraction,
        part_target_s: float,
        settings: WindowSettings,
        *,
        next_msn: int = 0,
        discontinuity_sequence: int = 0,
    ) -> None:
        if not renditions or next_msn < 0 or discontinuity_sequence < 0:
            raise LocalError("a window needs a rendition, and numbers that are not negative")
        if not 0 < part_target_s <= segment_duration_s:
            raise LocalError(f"parts of {part_target_s} s do not fit {segment_duration_s} s")
        self.renditions = renditions
        self.rungs = tuple(rendition.name for rendition in renditions)
        self.segment_duration_s = segment_duration_s
        self.target_duration_s = rounded_target_duration_s(segment_duration_s)
        # As written with five digits: a part's duration, written so too, is no more (rule R41).
        self.part_target_s = math.ceil(part_target_s * 1e5 - _TOLERANCE_S) / 1e5
        self.control = ServerControl(
            can_block_reload=True,
            can_skip_until_s=6.0 * self.target_duration_s,
            hold_back_s=3.0 * self.target_duration_s,
            part_hold_back_s=math.ceil(3e5 * self.part_target_s - _TOLERANCE_S) / 1e5,
        )
        self.advance_parts_max = 3.0 / self.part_target_s if self.part_target_s < 1.0 else 3.0
        """How far beyond the newest part may be asked for (rule R37)."""
        self.discontinuity_sequence = discontinuity_sequence
        """EXT-X-DISCONTINUITY tags on all segments that are not listed any more."""
        self.one_init = False
        """Whether one initialization section does for every rung, in all that is listed."""
        self.bytes_held = 0
        self.ended = False
        segment_s, count = float(segment_duration_s), settings.window_segments
        self._listed_min_s = (count - 0.5) * segment_s
        self._listed_max = 2 * count
        """Bounds the list where encoders die so often that segments are short."""
        made_up_s = 2 * segment_s
        """Media time runs ahead of the clock by so much while an encoder makes up for lost time."""
        self._parts_kept_s = 6.0 * self.target_duration_s + made_up_s
        self._segments_kept_s = (2 * count + 3) * segment_s + made_up_s
        self._next_msn = next_msn
        self._end_s = 0.0
        self._listed: deque[Parent] = deque()
        self._kept: deque[Parent] = deque()
        self._kept_in_parts: deque[Parent] = deque()
        self._objects: dict[str, StoredObject] = {}
        self._shape = (next_msn, next_msn, next_msn)
        """First segment listed, first not whole, first listed with parts: what `_settled` is of."""
        self._settled: dict[tuple[str, int, str], str] = {}
        self._playlists: dict[tuple[str, bool, str], PlaylistText] = {}
        self._meters = {rung: BandwidthMeter() for rung in self.rungs}
        self._listeners: list[Listener] = []

    # What is there.

    @property
    def next_msn(self) -> int:
        """Number of the first segment that is not whole."""
        return self._next_msn

    @property
    def first_msn(self) -> int:
        """What EXT-X-MEDIA-SEQUENCE says."""
        return self._listed[0].msn if self._listed else self._next_msn

    @property
    def edge(self) -> tuple[int, int] | None:
        """MSN and index of the newest part; None before the first."""
        if not self._listed:
            return None
        return self._listed[-1].msn, self._listed[-1].part_count - 1

    @property
    def segments_listed(self) -> int:
        """Whole segments that playlists name."""
        return len(self._listed) - (self._open is not None)

    @property
    def ready(self) -> bool:
        """False while too little is listed for a player to start."""
        return self.segments_listed >= READY_SEGMENTS

    @property
    def discontinuity_number(self) -> int:
        """Discontinuity sequence number of the newest part."""
        return self.discontinuity_sequence + sum(p.first.discontinuity for p in self._listed)

    @property
    def bytes_bound(self) -> int:
        """What the window holds at most while rungs keep their declared peak."""
        peak_bps = sum(rendition.declared_peak_bps for rendition in self.renditions)
        # One segment more: the open one's parts while they are put together.
        held_s = self._segments_kept_s + 2 * float(self.segment_duration_s)
        return math.ceil(peak_bps * held_s / 8)

    def payload(self, name: str) -> Stored | None:
        """The bytes under a path below `/live/{channel}/`."""
        stored = self._objects.get(name)
        return None if stored is None else stored.payload

    def life_s(self, name: str) -> float:
        """How long an object can still be downloaded at least."""
        stored = self._objects.get(name)
        return 0.0 if stored is None else max(0.0, stored.kept_until_s - self._end_s)

    @property
    def hints(self) -> dict[str, str]:
        """Rung -> name of the part that comes next; none once the show has ended (rule R43)."""
        if not self._listed or self.ended:
            return {}
        return {rung: self._listed[-1].next_part_name(rung) for rung in self.rungs}

    @property
    def next_part(self) -> tuple[int, int] | None:
        """MSN and index of the part that is hinted; None before the first part."""
        if not self._listed:
            return None
        newest = self._listed[-1]
        return (newest.msn + 1, 0) if newest.whole else (newest.msn, newest.part_count)

    # Blocking reload.

    def reached(self, msn: int, part: int | None) -> bool:
        """Whether a playlist of now has that segment, or that part of it (rules R38 and R40)."""
        if self.ended or msn < self._next_msn - 1:
            return True
        if part is None:
            return msn < self._next_msn
        if msn < self._next_msn:
            whole = self._last_whole
            rolled_over = whole is not None and part >= whole.part_count
            return not rolled_over or self._open is not None
        return self._open is not None and msn == self._open.msn and part < self._open.part_count

    def too_far(self, msn: int, part: int | None) -> bool:
        """Whether to refuse that at once (rule R37)."""
        if self.ended or msn < self._next_msn:
            return False
        if msn > self._next_msn + 1:
            return True
        newest = self._open.part_count - 1 if self._open and msn == self._next_msn else -1
        return part is not None and part - newest > self.advance_parts_max

    # Playlists.

    def playlist(self, rung: str, *, delta: bool = False, folder: str = "") -> PlaylistText | None:
        """The media playlist of a rung; None while the window is not ready or has no such rung.

        A delta update is the whole playlist where there is nothing to skip. `folder` leads from
        the playlist to the rung's objects.
        """
        if not self.ready or rung not in self._meters:
            return None
        skipped = self._skippable() if delta else 0
        key = (rung, skipped > 0, folder)
        text = self._playlists.get(key)
        if text is None:
            text = self._playlists[key] = PlaylistText(self._render(rung, skipped, folder))
        return text

    def variant(self, rendition: Rendition, uri: str) -> Variant:
        """One variant with rates no lower than measured (rule R26)."""
        return self._meters[rendition.name].variant(rendition, uri)

    def multivariant(self, folder: str = "") -> PlaylistText:
        """The multivariant playlist `ll.m3u8` of all rungs; `folder` leads from it to `ll/`."""
        uris = (f"{folder}ll/{rung}/media.m3u8" for rung in self.rungs)
        variants = tuple(map(self.variant, self.renditions, uris))
        return PlaylistText(render_multivariant(MultivariantPlaylist(variants)))

    # What happens to it.

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each publish; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def publish(self, parts: PartSet) -> None:
        """Store one part of every rung, then list it, then drop what is too old.

        Raises LocalError; a refused part changes nothing.
        """
        self.check(parts)
        added = self._begin(parts) if parts.index == 0 else []
        parent = self._listed[-1]
        until_s = self._parts_until_s(parent)
        for rung, payload in parts.payloads.items():
            added.append(self._store(parts.object_name(rung), payload, until_s))
        parent.add(parts)
        self._end_s += parts.duration_s
        if parts.last:
            added += self._close(parent)
        self._unlist()
        self._tell(Publication(parts, added, self._drop()))

    def end(self) -> None:
        """The show is over: what is open is closed, and nothing comes any more."""
        added = self._close(self._open) if self._open is not None else []
        self.ended = True
        self._tell(Publication(None, added, ()))

    def resume(self, next_msn: int, discontinuity_sequence: int) -> None:
        """Begin anew further on, as `Window.resume` does.

        A segment that is not whole is never listed as one; its parts are kept for their time.
        """
        open_msn = self._next_msn + (self._open is not None)
        if next_msn < open_msn or discontinuity_sequence < self.discontinuity_number:
            raise LocalError(f"a window at {self._next_msn} cannot begin anew at {next_msn}")
        self._listed.clear()
        self._next_msn, self.discontinuity_sequence = next_msn, discontinuity_sequence
        self._changed()

    def unlist_before(self, msn: int) -> None:
        """Take whole segments out of the list that the upstream of a relay lists no more."""
        while self._listed and self._listed[0].whole and self._listed[0].msn < msn:
            self.discontinuity_sequence += self._listed.popleft().first.discontinuity
        self._changed()

    @property
    def kept_msn(self) -> int:
        """The oldest segment of which anything can be downloaded."""
        return self._kept[0].msn if self._kept else self._next_msn

    @property
    def measured(self) -> dict[str, Measured]:
        """What was seen of each rung so far."""
        return {rung: meter.measured for rung, meter in self._meters.items()}

    def set_measured(self, measured: Mapping[str, Measured]) -> None:
        """Go on from what another window has seen of the same rungs."""
        for rung, meter in self._meters.items():
            meter.measured = measured[rung]

    def check(self, parts: PartSet) -> None:
        """Raise LocalError if this cannot be the next part."""
        name = f"part {parts.msn}.{parts.index}"
        if self.ended:
            raise LocalError(f"{name} published after the end")
        parent = None
        if parts.index == 0:
            self._check_first(name, parts)
        else:
            parent = self._open
            if parent is None or (parts.msn, parts.index) != (parent.msn, parent.part_count):
                raise LocalError(f"{name} does not follow the newest part, {self.edge}")
            parent.check(parts)
        if set(parts.payloads) != set(self.rungs) or not all(parts.payloads.values()):
            raise LocalError(f"{name} must have bytes for {sorted(self.rungs)}")
        if not 0 < parts.duration_s <= self.part_target_s + _TOLERANCE_S:
            raise LocalError(
                f"{name} lasts {parts.duration_s} s; parts last up to {self.part_target_s} s"
            )
        segment_s = parts.duration_s + (parent.duration_s if parent is not None else 0.0)
        if math.floor(segment_s + 0.5) > self.target_duration_s:
            raise LocalError(
                f"{name} makes its segment {segment_s} s long, more than the target duration of "
                f"{self.target_duration_s} s allows"
            )

    # Inside.

    def _check_first(self, name: str, parts: PartSet) -> None:
        msn = self._next_msn + (self._open is not None)
        if parts.msn != msn:
            raise LocalError(f"{name} published where segment {msn} is next")
        if not parts.independent:
            raise LocalError(f"{name} starts its segment without a key frame")
        if self._listed and self._listed[-1].init != parts.init and not parts.discontinuity:
            raise LocalError(f"{name} has another init, but no discontinuity")

    @property
    def _open(self) -> Parent | None:
        return self._listed[-1] if self._listed and not self._listed[-1].whole else None

    @property
    def _last_whole(self) -> Parent | None:
        back = 1 if self._open is None else 2
        return self._listed[-back] if len(self._listed) >= back else None

    def _begin(self, parts: PartSet) -> list[str]:
        """A new segment; the one before is closed as it is where its encoder died."""
        added = self._close(self._open) if self._open is not None else []
        new_init = bool(self._listed) and self._listed[-1].init != parts.init
        parent = Parent(parts, self.rungs, self._end_s, new_init)
        for deck in (self._listed, self._kept, self._kept_in_parts):
            deck.append(parent)
        self.one_init = all(listed.one_init for listed in self._listed)
        until_s = self._segment_until_s(parent)
        for rung, payload in parts.init.payloads.items():
            added.append(self._store(parts.init.object_name(rung), payload, until_s))
        return added

    def _close(self, parent: Parent) -> list[str]:
        measured = not parent.first.slate and 2 * parent.duration_s > self.target_duration_s
        added = []
        for rung, (body, views) in parent.close().items():
            if measured:
                self._meters[rung].add(len(body), parent.duration_s)
            name, until_s = parent.first.parent_name(rung), self._segment_until_s(parent)
            added.append(self._store(name, body, until_s))
            for name, view in views:
                added.append(self._store(name, view, self._parts_until_s(parent)))
        self._next_msn = parent.msn + 1
        return added

    def _parts_until_s(self, parent: Parent) -> float:
        return parent.start_s + self._parts_kept_s

    def _segment_until_s(self, parent: Parent) -> float:
        return parent.start_s + self._segments_kept_s

    def _store(self, name: str, payload: Stored, kept_until_s: float) -> str:
        self._forget(name)
        self._objects[name] = StoredObject(payload, kept_until_s)
        self.bytes_held += bytes_held(payload)
        return name

    def _forget(self, name: str) -> str:
        stored = self._objects.pop(name, None)
        if stored is not None:
            self.bytes_held -= bytes_held(stored.payload)
        return name

    def _unlist(self) -> None:
        """Take the oldest segments out of the list while enough are left (rule R22)."""
        whole_s = sum(parent.duration_s for parent in self._listed if parent.whole)
        while True:
            left_s = whole_s - self._listed[0].duration_s
            crowded = len(self._listed) > self._listed_max
            least_s = 3.0 * self.target_duration_s if crowded else self._listed_min_s
            if left_s < least_s or not self._listed[0].whole:
                return
            self.discontinuity_sequence += self._listed.popleft().first.discontinuity
            whole_s = left_s

    def _drop(self) -> list[str]:
        """Forget what nobody can still ask for by the rules; the names."""
        gone: list[str] = []
        while self._end_s > self._parts_until_s(self._kept_in_parts[0]):
            gone += self._kept_in_parts.popleft().part_names()
        while self._end_s > self._segment_until_s(self._kept[0]):
            old = self._kept.popleft()
            gone += old.segment_names()
            if not any(parent.init == old.init for parent in self._kept):
                gone += map(old.init.object_name, self.rungs)
        for name in gone:
            self._forget(name)
        return gone

    def _tell(self, publication: Publication) -> None:
        self._changed()
        for listener in tuple(self._listeners):
            listener(publication)

    def _changed(self) -> None:
        self._playlists.clear()
        shape = (self.first_msn, self._next_msn, self._parts_from_msn())
        if shape != self._shape:
            self._shape = shape
            self._settled.clear()

    def _parts_from_msn(self) -> int:
        """The first segment whose parts are listed (rule R44). Never goes back."""
        oldest = self._next_msn
        hinted = bool(self._listed) and self._listed[-1].whole
        for parent in islice(reversed(self._listed), _PARENTS_WITH_PARTS_MAX - hinted):
            if self._end_s - parent.start_s > 3.0 * self.target_duration_s + _TOLERANCE_S:
                break
            oldest = parent.msn
        return oldest

    # Playlists as text.

    def _skippable(self) -> int:
        """Segments that lie wholly beyond the skip boundary."""
        boundary_s = self._end_s - 6.0 * self.target_duration_s + _TOLERANCE_S
        return sum(parent.whole and parent.end_s <= boundary_s for parent in self._listed)

    def _render(self, rung: str, skipped: int, folder: str) -> str:
        settled = self._settled.get((rung, skipped, folder))
        if settled is None:
            listed = (self._text(parent, rung, folder) for parent in self._whole_from(skipped))
            settled = self._settled[rung, skipped, folder] = "".join(listed)
        newest = self._text(self._open, rung, folder) if self._open is not None else ""
        hint = folder + base_name(self._listed[-1].next_part_name(rung))
        return "".join((self._header(skipped), settled, newest, self._end(hint, rung)))

    def session_playlist(
        self,
        rung_of: Callable[[int], str],
        base: str,
        *,
        delta: bool = False,
        from_msn: int = 0,
    ) -> PlaylistText:
        """A media playlist whose rung is `rung_of(msn)`; only where all rungs have one init.

        `base` is the path from it to `ll/`; nothing before `from_msn` is listed. To be asked for
        when the window is ready, and shows something of `from_msn`.
        """
        cut = sum(parent.msn < from_msn for parent in self._listed)
        skipped = self._skippable() if delta and not cut else 0
        parents = [*self._whole_from(skipped or cut), *([self._open] if self._open else [])]
        lines = [
            self._session_text(parent, rung_of(parent.msn), base, leads=cut > 0 and place == 0)
            for place, parent in enumerate(parents)
        ]
        hint = ""
        if self.next_part is not None:
            name = self._listed[-1].next_part_name(rung_of(self.next_part[0]))
            hint = base + name.removeprefix("ll/")
        return PlaylistText("".join((self._header(skipped, cut), *lines, self._end(hint))))

    def _whole_from(self, skipped: int) -> Iterator[Parent]:
        """The whole segments, which stay as they are for several parts."""
        return (p for place, p in enumerate(self._listed) if p.whole and place >= skipped)

    def _text(self, parent: Parent, rung: str, folder: str) -> str:
        leads = parent is self._listed[0]
        with_parts = parent.msn >= self._shape[2]
        return parent.text(rung, leads=leads, with_parts=with_parts, base=folder)

    def _session_text(self, parent: Parent, rung: str, base: str, *, leads: bool) -> str:
        return parent.text(
            rung,
            leads=leads or parent is self._listed[0],
            with_parts=parent.msn >= self._shape[2],
            base=f"{base}{rung}/",
            map_uri=base + parent.init.object_name(self.rungs[0]).removeprefix("ll/"),
        )

    def _header(self, skipped: int, cut: int = 0) -> str:
        """`cut` is how many listed segments are left out as if they had never been listed."""
        gone = sum(parent.first.discontinuity for parent in islice(self._listed, cut))
        header = render_media_header(
            target_duration_s=self.target_duration_s,
            media_sequence=self.first_msn + cut,
            discontinuity_sequence=self.discontinuity_sequence + gone,
            version=_DELTA_VERSION if skipped else _VERSION,
            server_control=self.control,
            part_target_s=self.part_target_s,
        )
        return header + render_skip(skipped) if skipped else header

    def _end(self, hint: str, rung: str | None = None) -> str:
        if self.ended:
            return "#EXT-X-ENDLIST\n"
        assert self.edge is not None, "only rendered when ready"
        reports = (
            RenditionReport(f"../{other}/media.m3u8", *self.edge)
            for other in self.rungs
            if rung is not None and other != rung
        )
        return render_edge((PreloadHint(hint),), reports)
