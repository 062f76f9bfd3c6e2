"""What sessions look at: a window, and how a playlist of it is written for a session. Pure."""

from collections.abc import Callable

from surgecast.delivery.sessions.histories import Shape
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.segment import SegmentSet
from surgecast.media.window import PlaylistText, Window, render_line

DELTA = "delta"
"""The view of a low-latency playlist that leaves old segments out."""


class SegmentShow:
    """Sessions on `adaptive.m3u8`: whole segments of MPEG-TS, one playlist."""

    marks_switches = True
    _base = "../../"

    def __init__(self, window: Window) -> None:
        self.rungs = tuple(rendition.name for rendition in window.renditions)
        self._window = window
        self._lines: dict[tuple[int, str, bool], str] = {}

    @property
    def first_msn(self) -> int:
        return self._window.first_msn

    @property
    def next_msn(self) -> int:
        return self._window.next_msn

    @property
    def discontinuity_number(self) -> int:
        return self._window.discontinuity_number

    @property
    def ready(self) -> bool:
        return self._window.ready

    def shows(self, msn: int) -> bool:
        return msn < self._window.next_msn

    @property
    def version(self) -> tuple[int, bool]:
        return self._window.next_msn, self._window.ended

    def render(self, shape: Shape, view: str) -> PlaylistText:
        """There is one playlist, and it is always whole: `view` changes nothing."""
        return self._render(shape, lambda rung: rung)

    def _render(self, shape: Shape, allowed: Callable[[str], str]) -> PlaylistText:
        """`allowed` says which rung is listed where the session's history has one."""
        window = self._window
        changes = {change.msn: change for change in shape.changes}
        rung = shape.changes[0].rung
        lines = []
        discontinuity_sequence = window.discontinuity_sequence + shape.tags_gone
        for segments in window.listed:
            if segments.msn < shape.from_msn:
                discontinuity_sequence += segments.discontinuity
                continue
            change = changes.get(segments.msn)
            rung = change.rung if change is not None else rung
            switched = change is not None and change.tagged
            lines.append(self._line(segments, allowed(rung), switched))
        header = window.header(discontinuity_sequence, max(shape.from_msn, window.first_msn))
        return PlaylistText(header + "".join(lines) + window.foot)

    def _line(self, segments: SegmentSet, rung: str, switched: bool) -> str:
        key = (segments.msn, rung, switched)
        line = self._lines.get(key)
        if line is None:
            first_msn = self._window.first_msn
            self._lines = {key: line for key, line in self._lines.items() if key[0] >= first_msn}
            uri = f"{self._base}{segments.object_name(rung)}"
            line = self._lines[key] = render_line(segments, uri, switched=switched)
        return line


class VariantShow(SegmentShow):
    """Sessions on `index.m3u8`: a playlist for each rung, and the player chooses among them.

    A history's rung is the highest that this viewer may have: what is above lists the segments of
    that rung instead. Its changes are marked at the same place in all variants (rule R25).
    """

    _base = "../../../"

    def render(self, shape: Shape, view: str) -> PlaylistText:
        """`view` is the variant's rung."""
        wanted = self.rungs.index(view)
        return self._render(shape, lambda cap: self.rungs[max(wanted, self.rungs.index(cap))])


class PartShow:
    """Sessions on `ll/adaptive.m3u8`: a rung is kept for a whole segment, however many parts.

    Only where one initialization section does for all rungs, so that a switch is no discontinuity.
    """

    marks_switches = False

    def __init__(self, window: LowLatencyWindow) -> None:
        self.rungs = window.rungs
        self._window = window

    @property
    def first_msn(self) -> int:
        return self._window.first_msn

    @property
    def next_msn(self) -> int:
        return self._window.next_msn

    @property
    def discontinuity_number(self) -> int:
        return self._window.discontinuity_number

    @property
    def ready(self) -> bool:
        return self._window.ready and self._window.one_init

    def shows(self, msn: int) -> bool:
        return self._window.reached(msn, 0)

    @property
    def version(self) -> tuple[object, bool]:
        return self._window.edge, self._window.ended

    def render(self, shape: Shape, view: str) -> PlaylistText:
        return self._window.session_playlist(
            shape.rung_of, "../../", delta=view == DELTA, from_msn=shape.from_msn
        )
