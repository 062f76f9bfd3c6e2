"""What any viewer sees of a low-latency window keeps the rules, however encoders die."""

import math
from dataclasses import dataclass, field
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from surgecast.hls.delta import merge
from surgecast.hls.model import MediaPlaylist, MediaSegment, OpenSegment, Part
from surgecast.hls.parse import parse_media
from surgecast.media.low_latency_window import LowLatencyWindow, Publication
from tests.support.parts import PART_S, Encoder, low_latency_window
from tests.support.shows import RUNGS

TD = 2

# How many parts come before the encoder dies, and whether the next one has another init.
lives = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=8)
thorough = settings(max_examples=40, deadline=None)


@dataclass
class Viewer:
    """Reloads one rung's playlist and checks each version against all it saw before."""

    rung: str
    start_msn: int
    parts: dict[tuple[int, int], Part] = field(default_factory=dict)
    segments: dict[int, tuple[str, float]] = field(default_factory=dict)
    heads: dict[int, tuple[datetime | None, int, str | None]] = field(default_factory=dict)
    numbers: tuple[int, int, int] = (0, 0, 0)
    hint: str | None = None
    known: MediaPlaylist | None = None

    def see(self, window: LowLatencyWindow) -> None:
        text = window.playlist(self.rung)
        if text is None:
            assert not window.ready
            return
        shown = parse_media(text.body.decode())
        self._check_header(shown)
        self._check_order(shown)
        self._check_parts_age(shown)
        self._check_all_served(window, shown)
        self._check_delta(window, shown)
        self.known = shown

    def _check_header(self, shown: MediaPlaylist) -> None:
        control = shown.server_control
        assert control is not None and shown.part_target_s is not None
        assert control.can_block_reload and shown.target_duration_s == TD
        assert (control.part_hold_back_s or 0) >= 3 * shown.part_target_s
        assert (control.hold_back_s or 0) >= 3 * TD and (control.can_skip_until_s or 0) >= 6 * TD
        assert shown.version == 6 and not shown.ended
        numbers = (shown.media_sequence, shown.discontinuity_sequence, shown.next_msn)
        assert all(a <= b for a, b in zip(self.numbers, numbers, strict=True))
        self.numbers = numbers

    def _check_order(self, shown: MediaPlaylist) -> None:
        """R1, R2, R4, R6, R43, R49: what was shown once never changes, and nothing is missed."""
        number = shown.discontinuity_sequence
        whole = list(enumerate(shown.segments, shown.media_sequence))
        everything: list[tuple[int, MediaSegment | OpenSegment]] = [*whole]
        if shown.open_segment is not None:
            everything.append((shown.next_msn, shown.open_segment))
        for msn, entry in everything:
            number += entry.discontinuity
            head = (entry.program_date_time, number, entry.map_uri)
            assert entry.program_date_time is not None and entry.map_uri is not None
            assert self.heads.setdefault(msn, head) == head
            for index, part in enumerate(entry.parts):
                assert self.parts.setdefault((msn, index), part) == part
                assert part.duration_s <= (shown.part_target_s or 0)
                assert part.independent == (index == 0)
        for msn, segment in whole:
            line = (segment.uri, segment.duration_s)
            assert self.segments.setdefault(msn, line) == line
            assert math.floor(segment.duration_s + 0.5) <= TD
        self._check_hint(shown, everything[-1])

    def _check_hint(
        self, shown: MediaPlaylist, newest: tuple[int, MediaSegment | OpenSegment]
    ) -> None:
        """R43: one hint; a part with its epoch that comes later has its name."""
        assert [hint.kind for hint in shown.preload_hints] == ["PART"]
        last = newest[1].parts[-1]
        if self.hint is not None and self.hint.partition("-")[0] == last.uri.partition("-")[0]:
            assert self.hint == last.uri
        self.hint = shown.preload_hints[0].uri
        assert self.hint not in {part.uri for part in self.parts.values()}
        edge = (newest[0], len(newest[1].parts) - 1)
        reports = {(r.uri, r.last_msn, r.last_part) for r in shown.rendition_reports}
        assert reports == {(f"../{r}/media.m3u8", *edge) for r in RUNGS if r != self.rung}

    def _check_parts_age(self, shown: MediaPlaylist) -> None:
        """R44: parts of the newest segments alone, each segment's all or none."""
        age_s = shown.open_segment.duration_s if shown.open_segment else 0.0
        with_parts = []
        for segment in reversed(shown.segments):
            age_s += segment.duration_s
            with_parts.append(bool(segment.parts))
            if segment.parts:
                assert age_s <= 3 * TD + 1e-3
                assert math.isclose(sum(p.duration_s for p in segment.parts), segment.duration_s)
        assert with_parts == sorted(with_parts, reverse=True)
        # Strict validators count segments, not seconds.
        assert sum(with_parts) + (shown.open_segment is not None) <= 3
        assert shown.duration_s >= 3 * TD - 1e-3 or shown.media_sequence == self.start_msn

    def _check_all_served(self, window: LowLatencyWindow, shown: MediaPlaylist) -> None:
        """R24: every name of the list has its bytes; a segment is its parts put together."""
        for segment in shown.segments:
            body = window.payload(f"ll/{self.rung}/{segment.uri}")
            assert body is not None and segment.map_uri is not None
            assert window.payload(f"ll/{self.rung}/{segment.map_uri}") is not None
            parts = [window.payload(f"ll/{self.rung}/{part.uri}") for part in segment.parts]
            assert not parts or b"".join(bytes(part or b"") for part in parts) == body
        for part in shown.open_segment.parts if shown.open_segment else ():
            assert window.payload(f"ll/{self.rung}/{part.uri}") is not None

    def _check_delta(self, window: LowLatencyWindow, shown: MediaPlaylist) -> None:
        """R47: a delta update stands for the whole playlist."""
        text = window.playlist(self.rung, delta=True)
        assert text is not None
        delta = parse_media(text.body.decode())
        assert delta.version == (9 if delta.skipped_segments else 6)
        if self.known is not None:
            merged = merge(self.known, delta)
            assert merged.segments == shown.segments and merged.open_segment == shown.open_segment


@thorough
@given(lives, st.sampled_from(RUNGS), st.integers(0, 1000), st.integers(0, 50), st.integers(6, 9))
def test_rules_hold(
    runs: list[tuple[int, bool]], rung: str, next_msn: int, sequence: int, listed: int
) -> None:
    window = low_latency_window(next_msn, sequence, listed)
    encoder = Encoder(next_msn)
    viewer = Viewer(rung, next_msn)
    if next_msn:
        encoder.die()
    for parts, new_init in runs:
        for _ in range(parts):
            window.publish(encoder.part())
            viewer.see(window)
        encoder.die(new_init=new_init)


@thorough
@given(lives, st.integers(6, 9))
def test_what_left_the_list_stays_for_a_while(runs: list[tuple[int, bool]], listed: int) -> None:
    """R23 and R44: how long, and that nothing is held for ever."""
    window = low_latency_window(listed=listed)
    encoder = Encoder()
    names: set[str] = set()

    def told(publication: Publication) -> None:
        names.difference_update(publication.gone)
        names.update(publication.added)

    window.subscribe(told)
    listed_at: dict[str, float] = {}
    now_s, longest_s = 0.0, 0.0
    for parts, new_init in runs:
        for _ in range(parts):
            part = encoder.part()
            window.publish(part)
            now_s += part.duration_s
            text = window.playlist(RUNGS[0])
            if text is not None:
                shown = parse_media(text.body.decode())
                longest_s = max(longest_s, shown.duration_s + TD)
                listed_at |= dict.fromkeys(_names(shown), now_s)
        encoder.die(new_init=new_init)
    for name, left_s in listed_at.items():
        due_s = 3 * TD if name.count(".") == 2 else longest_s + TD
        assert f"ll/{RUNGS[0]}/{name}" in names or now_s - left_s > due_s - PART_S
    payloads = [window.payload(name) for name in names]
    assert all(payloads)
    own = sum(len(payload) for payload in payloads if isinstance(payload, bytes))
    assert window.bytes_held == own
    seconds = (2 * listed + 5) * 2 + 3 * PART_S
    assert own <= len(RUNGS) * (100 * seconds / PART_S + 20 * len(runs))


def _names(shown: MediaPlaylist) -> list[str]:
    entries = [*shown.segments, *([shown.open_segment] if shown.open_segment else [])]
    parts = [part.uri for entry in entries for part in entry.parts]
    return [*(s.uri for s in shown.segments), *parts, *(e.map_uri or "" for e in entries)]
