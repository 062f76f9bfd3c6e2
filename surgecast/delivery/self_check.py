"""The rules of HLS over what a channel publishes, without HTTP. Pure.

A `Judge` is given playlists and media as they are published, and says which rules they break. It
sees what `surgecast check` sees of playlists and media; of HTTP and of requests it sees nothing.
Which rung's media is looked at, and when to rest, is decided here too.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from surgecast.errors import RemoteError
from surgecast.hls import cmaf
from surgecast.hls.model import MultivariantPlaylist, Variant
from surgecast.hls.observation import Finding, Kind, MediaView, Response, SegmentView
from surgecast.hls.rulebook import Look
from surgecast.hls.rules import check, facts_of, view_of
from surgecast.hls.rules_low_latency import check_reports
from surgecast.hls.rules_playlist import LATE_FACTOR, check_variants
from surgecast.hls.rules_reload import check_delta

VIEWS_KEPT = 4
MEDIA_KEPT = 16
SHARE_MAX = 0.03
"""Of a core, for all channels of a process together."""
STORE_S = 0.3
"""What may be saved up for a moment with much to look at."""

Body = bytes | memoryview


@dataclass(frozen=True, slots=True)
class ShownMedia:
    """One segment or part of one rung."""

    url: str
    playlist_url: str
    payload: Body
    init: Body | None
    """None for MPEG-TS."""
    msn: int
    duration_s: float
    discontinuity: bool
    part: int | None = None
    independent: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """What is on show after one publication."""

    now: float
    playlists: Mapping[str, Body]
    """URL -> media playlist; those that are to be looked at."""
    renditions: Sequence[str]
    """The URLs of all media playlists of this presentation."""
    multivariant: tuple[str, Body] | None = None
    media: ShownMedia | None = None
    update: tuple[str, Body] | None = None
    """A delta update of one of `playlists`."""


class Judge:
    """Remembers the last looks at one presentation of a channel."""

    def __init__(self) -> None:
        self.looks: Counter[Look] = Counter()
        self._views: dict[str, deque[MediaView]] = {}
        self._media: deque[SegmentView] = deque(maxlen=MEDIA_KEPT)
        self._variants: dict[str, Variant] = {}
        self._init: tuple[Body, cmaf.Init] | None = None

    def look(self, shown: Shown) -> list[Finding]:
        """The rules that this publication breaks."""
        found: list[Finding] = []
        if shown.multivariant is not None:
            found += self._multivariant(*shown.multivariant, shown.now)
        for url, body in shown.playlists.items():
            found += self._playlist(url, body, shown)
        views = [self._views[url][-1] for url in shown.playlists if self._views.get(url)]
        if len(views) > 1:
            self.looks[Look.VARIANTS] += 1
            found += check_variants(views)
        if shown.update is not None:
            found += self._update(*shown.update, shown.now)
        if shown.media is not None:
            found += self._segment(shown.media)
        return found

    def _multivariant(self, url: str, body: Body, now: float) -> list[Finding]:
        view = view_of(_response(url, Kind.MULTIVARIANT, body, now))
        if isinstance(view, Finding):
            return [view]
        self.looks[Look.MULTIVARIANT] += 1
        if isinstance(view.playlist, MultivariantPlaylist):
            self._variants = {urljoin(url, v.uri): v for v in view.playlist.variants}
        return check(view, [])

    def _playlist(self, url: str, body: Body, shown: Shown) -> list[Finding]:
        view = view_of(_response(url, Kind.MEDIA, body, shown.now))
        if not isinstance(view, MediaView):
            return [view] if isinstance(view, Finding) else []
        history = self._views.setdefault(url, deque(maxlen=VIEWS_KEPT))
        low_latency = view.kind is Kind.LOW_LATENCY
        self.looks[Look.LOW_LATENCY if low_latency else Look.MEDIA] += 1
        self.looks[Look.CHANGE] += bool(history)
        found = self._pause(history, view) + check(view, list(history))
        if low_latency and len(shown.renditions) > 1:
            self.looks[Look.REPORT] += len(shown.renditions) - 1
            found += check_reports(view, shown.renditions)
        history.append(view)
        return found

    def _pause(self, history: deque[MediaView], view: MediaView) -> list[Finding]:
        """R21, as a viewer would have seen it who looked just before this publication."""
        last = history[-1] if history else None
        # Only where this is the very next publication: others may have gone unseen.
        if last is None or view.playlist.next_msn != last.playlist.next_msn + 1:
            return []
        limit_s = LATE_FACTOR * last.playlist.target_duration_s
        if view.kind is Kind.LOW_LATENCY or view.now - last.now <= limit_s:
            return []
        late = check(replace(last, now=view.now), list(history))
        return [finding for finding in late if finding.rule == "R21"]

    def _update(self, url: str, body: Body, now: float) -> list[Finding]:
        """R47."""
        view = view_of(_response(url, Kind.MEDIA, body, now))
        whole = self._views.get(url)
        if not isinstance(view, MediaView) or not whole:
            return []
        self.looks[Look.DELTA] += bool(view.playlist.skipped_segments)
        return check_delta(view, whole[-1])

    def _segment(self, media: ShownMedia) -> list[Finding]:
        kind = Kind.SEGMENT if media.part is None else Kind.PART
        try:
            init = None if media.init is None else self._read_init(media.init)
        except RemoteError as error:
            return [Finding("R24", media.url, str(error))]
        facts = facts_of(_response(media.url, kind, media.payload, 0.0), init)
        if isinstance(facts, Finding):
            return [facts]
        variant = self._variants.get(media.playlist_url)
        view = SegmentView(
            url=media.url,
            playlist_url=media.playlist_url,
            msn=media.msn,
            part=media.part,
            independent=media.independent,
            duration_s=media.duration_s,
            discontinuity=media.discontinuity,
            facts=facts,
            peak_bps=variant.peak_bps if variant else None,
            codecs=variant.codecs if variant else None,
            width=variant.width if variant else None,
            height=variant.height if variant else None,
            sizes=frozenset((v.width, v.height) for v in self._variants.values()),
        )
        if self._media and self._media[-1].playlist_url != media.playlist_url:
            self._media.clear()
        self.looks[Look.SEGMENT if media.part is None else Look.PART] += 1
        self.looks[Look.SEQUEL] += bool(self._media)
        found = check(view, list(self._media))
        self._media.append(view)
        return found

    def _read_init(self, data: Body) -> cmaf.Init:
        """Read once while it is the same object."""
        if self._init is None or self._init[0] is not data:
            self._init = (data, cmaf.read_init(bytes(data)))
        return self._init[1]


def _response(url: str, kind: Kind, body: Body, now: float) -> Response:
    return Response(url, kind, 200, {}, bytes(body), now)


def rung_in_turn(rungs: Sequence[str], number: int) -> str:
    """The rung to look at: each for two publications, so that one can follow another."""
    return rungs[number // 2 % len(rungs)]


@dataclass(slots=True)
class Budget:
    """Processor time that may be used: it fills by `SHARE_MAX` of every second, up to a store.

    Work is never cut short, so a long look is paid for afterwards.
    """

    left_s: float = STORE_S
    filled_at: float | None = None
    used_s: float = 0.0

    def due(self, now: float) -> bool:
        """Whether there is time for a look."""
        since_s = 0.0 if self.filled_at is None else max(0.0, now - self.filled_at)
        self.left_s = min(STORE_S, self.left_s + SHARE_MAX * since_s)
        self.filled_at = now
        return self.left_s > 0

    def worked(self, cpu_s: float) -> None:
        self.left_s -= cpu_s
        self.used_s += cpu_s
