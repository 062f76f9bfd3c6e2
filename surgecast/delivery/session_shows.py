"""What sessions look at: a window, and how a playlist of it is written for a session. Pure."""

from surgecast.delivery.sessions import Shape
from surgecast.media.low_latency_window import LowLatencyWindow
from surgecast.media.segment import SegmentSet
from surgecast.media.window import PlaylistText, Window, render_line


class SegmentShow:
    """Sessions on `adaptive.m3u8`: whole segments of MPEG-TS."""

    marks_switches = True

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
    def ready(self) -> bool:
        return self._window.ready

    @property
    def version(self) -> tuple[int, bool]:
        return self._window.next_msn, self._window.ended

    def render(self, shape: Shape, *, delta: bool) -> PlaylistText:
        """`delta` changes nothing: plain playlists are always whole."""
        window = self._window
        changes = {change.msn: change for change in shape.changes}
        rung = shape.changes[0].rung
        lines = []
        for segments in window.listed:
            change = changes.get(segments.msn)
            rung = change.rung if change is not None else rung
            switched = change is not None and change.tagged
            lines.append(self._line(segments, rung, switched))
        header = window.header(window.discontinuity_sequence + shape.tags_gone)
        return PlaylistText(header + "".join(lines) + window.foot)

    def _line(self, segments: SegmentSet, rung: str, switched: bool) -> str:
        key = (segments.msn, rung, switched)
        line = self._lines.get(key)
        if line is None:
            first_msn = self._window.first_msn
            self._lines = {key: line for key, line in self._lines.items() if key[0] >= first_msn}
            uri = f"../../{segments.object_name(rung)}"
            line = self._lines[key] = render_line(segments, uri, switched=switched)
        return line


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
    def ready(self) -> bool:
        return self._window.ready and self._window.one_init

    @property
    def version(self) -> tuple[object, bool]:
        return self._window.edge, self._window.ended

    def render(self, shape: Shape, *, delta: bool) -> PlaylistText:
        return self._window.session_playlist(shape.rung_of, "../../", delta=delta)
