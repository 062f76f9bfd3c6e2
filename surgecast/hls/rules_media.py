"""Rules of media: what is inside a segment, and how one follows another."""

from collections.abc import Iterator, Sequence

from surgecast.hls import cmaf, ts
from surgecast.hls.observation import Finding, SegmentView
from surgecast.hls.rules_cmaf import RESTART_S, check_aligned, check_fragments
from surgecast.hls.rules_playlist import FRAME_S
from surgecast.hls.sps import Sps

PEAK_FACTOR = 1.25


def check_segment(view: SegmentView, history: Sequence[SegmentView]) -> list[Finding]:
    """All rules of one segment or part, given the earlier ones of the same playlist, in order."""
    facts = view.facts
    changed = [*_format(history[-1], view)] if history else []
    history = [] if changed else history
    if isinstance(facts, cmaf.Media):
        declared = facts.init.video.sps if facts.init.video else None
        sets = (declared,) if declared else ()
        return [*changed, *_advertised(view, sets), *check_fragments(view, history)]
    return [*changed, *_advertised(view, facts.sps), *_check_ts(view, history)]


def _format(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R13 (R10): one playlist keeps one file format, whatever tags it carries."""
    if type(before.facts) is not type(after.facts):
        yield Finding("R13", after.url, "MPEG-TS and fragmented MP4 in one playlist")


def _ts(view: SegmentView) -> ts.Segment:
    assert isinstance(view.facts, ts.Segment), "only MPEG-TS comes here"
    return view.facts


def _check_ts(view: SegmentView, history: Sequence[SegmentView]) -> list[Finding]:
    found = [*_layout(view), *_pictures(view)]
    if len(_ts(view).sps) > 1:
        what = f"{len(_ts(view).sps)} parameter sets in one segment"
        found.append(Finding("R10", view.url, what))
    if history and history[-1].msn == view.msn - 1:
        previous = history[-1]
        if view.discontinuity:
            found += _restarted(previous, view)
        else:
            found += [*_parameters(previous, view), *_continuous(previous, view)]
            found += _sums(view, history)
    return found


def _layout(view: SegmentView) -> Iterator[Finding]:
    """R14: PAT and PMT first, no SDT, counters that let any rung follow any other."""
    facts = _ts(view)
    if facts.head != (ts.PAT_PID, facts.pmt_pid):
        yield Finding("R14", view.url, f"starts with PIDs {facts.head}, expected PAT and PMT")
    if facts.has_sdt:
        yield Finding("R14", view.url, "has an SDT")
    for name, counter in (("PAT", facts.pat_counter), ("PMT", facts.pmt_counter)):
        if counter != view.msn % 16:
            what = f"{name} counter is {counter}, expected {view.msn % 16} (MSN {view.msn})"
            yield Finding("R14", view.url, what)
    for track in facts.tracks:
        if track.first_counter != 0:
            what = f"PID {track.pid} starts at counter {track.first_counter}, expected 0"
            yield Finding("R14", view.url, what)
        if track.payload_packets % 16:
            what = f"PID {track.pid} has {track.payload_packets} packets, not a multiple of 16"
            yield Finding("R14", view.url, what)
        if track.counter_breaks:
            what = f"PID {track.pid}: {track.counter_breaks} breaks of the continuity counter"
            yield Finding("R9", view.url, what)


def _pictures(view: SegmentView) -> Iterator[Finding]:
    """R12 (no B-frames) and R15 (starts with an IDR picture and its parameter sets)."""
    video = _ts(view).video
    if video is None:
        yield Finding("R15", view.url, "has no H.264 video")
        return
    reordered = sum(pes.dts is not None and pes.dts != pes.pts for pes in video.pes)
    if reordered:
        yield Finding("R12", view.url, f"{reordered} pictures with DTS other than PTS (B-frames)")
    needed = {ts.NAL_IDR: "IDR", ts.NAL_SPS: "SPS", ts.NAL_PPS: "PPS"}
    missing = [name for kind, name in needed.items() if kind not in video.pes[0].nal_types]
    if missing:
        yield Finding("R15", view.url, f"the first picture has no {', '.join(missing)}")
    if not video.pes[0].random_access:
        yield Finding("R15", view.url, "the first picture has no random-access indicator")


def _advertised(view: SegmentView, sets: Sequence[Sps]) -> Iterator[Finding]:
    """R26 (measured peak) and R26 / R27 (codec and size as the variant says).

    Smaller is right where it is the size of another variant: it stands in for a segment that this
    one is without (R16).
    """
    rule = "R27" if view.adaptive else "R26"
    if view.peak_bps and view.duration_s and view.part is None:
        bps = view.facts.size_bytes * 8 / view.duration_s
        if bps >= PEAK_FACTOR * view.peak_bps:
            what = f"{bps:.0f} bit/s, over 125 % of BANDWIDTH {view.peak_bps}"
            yield Finding("R26", view.url, what)
    for sps in sets:
        if view.codecs is not None and sps.codec not in view.codecs.lower():
            yield Finding(rule, view.url, f"is {sps.codec}, CODECS says {view.codecs}")
        other = (sps.width, sps.height) not in {(view.width, view.height), *view.sizes}
        larger = sps.width > (view.width or sps.width) or sps.height > (view.height or sps.height)
        if larger or (not view.adaptive and view.width and other):
            what = f"is {sps.width}x{sps.height}, RESOLUTION says {view.width}x{view.height}"
            yield Finding(rule, view.url, what)


def _parameters(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R10: size, codec and tracks change only with EXT-X-DISCONTINUITY."""
    was, now = _ts(before).sps[-1:], _ts(after).sps[:1]
    if was and now and was != now:
        what = f"{was[0].width}x{was[0].height} {was[0].codec} became"
        what = f"{what} {now[0].width}x{now[0].height} {now[0].codec}"
        yield Finding("R10", after.url, f"{what} without EXT-X-DISCONTINUITY")
    if _pids(before) != _pids(after):
        what = f"tracks {_pids(before)} became {_pids(after)} without EXT-X-DISCONTINUITY"
        yield Finding("R10", after.url, what)


def _pids(view: SegmentView) -> dict[int, int]:
    return {track.pid: track.stream_type for track in _ts(view).tracks}


def _continuous(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R9: counters and time stamps go on."""
    tracks = {track.pid: track for track in _ts(before).tracks}
    for track in _ts(after).tracks:
        was = tracks.get(track.pid)
        if was is None:
            continue
        if track.first_counter != (was.last_counter + 1) % 16:
            what = f"PID {track.pid}: counter {was.last_counter} then {track.first_counter}"
            yield Finding("R9", after.url, what)
        frame = was.pes[-1].duration or was.frame_ticks
        error = ts.elapsed(was.pes[-1].pts, track.pes[0].pts) - frame
        tolerance = frame // 2 if track.is_video else ts.TICKS_PER_S * FRAME_S
        if frame and abs(error) > tolerance:
            what = f"PID {track.pid}: time stamps jump by {error / ts.TICKS_PER_S:+.3f} s"
            yield Finding("R9", after.url, what)


def _sums(view: SegmentView, history: Sequence[SegmentView]) -> Iterator[Finding]:
    """R19: EXTINF sums stay within one frame of the media, since the last discontinuity."""
    total_s, first = 0.0, view
    for past in reversed(history):
        if past.msn != first.msn - 1 or first.discontinuity:
            break
        total_s, first = total_s + past.duration_s, past
    start, end = _ts(first).video, _ts(view).video
    if start is None or end is None:
        return
    media_s = ts.elapsed(start.pes[0].pts, end.pes[0].pts) / ts.TICKS_PER_S
    frame_s = end.frame_ticks / ts.TICKS_PER_S or FRAME_S
    if abs(media_s - total_s) > frame_s:
        what = f"EXTINF sum {total_s:.3f} s, media {media_s:.3f} s, since segment {first.msn}"
        yield Finding("R19", view.url, what)


def _restarted(before: SegmentView, after: SegmentView) -> Iterator[Finding]:
    """R17: time stamps continue even across EXT-X-DISCONTINUITY."""
    start, end = _ts(before).video, _ts(after).video
    if start is None or end is None:
        return
    media_s = ts.elapsed(start.pes[0].pts, end.pes[0].pts) / ts.TICKS_PER_S
    if abs(media_s - before.duration_s) > RESTART_S:
        what = f"time stamps jump by {media_s - before.duration_s:+.3f} s at a discontinuity"
        yield Finding("R17", after.url, what)


def check_rungs(one: SegmentView, other: SegmentView) -> list[Finding]:
    """R11 between two variants' segments of the same MSN: one encoder run, aligned."""
    if isinstance(one.facts, cmaf.Media) and isinstance(other.facts, cmaf.Media):
        return check_aligned(one, other)
    if type(one.facts) is not type(other.facts):
        return [Finding("R11", other.url, f"is of another format than {one.url}")]
    return list(_differences(one, other))


def _differences(one: SegmentView, other: SegmentView) -> Iterator[Finding]:
    if _pids(one) != _pids(other):
        yield Finding("R11", other.url, f"tracks {_pids(other)}, {_pids(one)} in {one.url}")
        return
    left, right = _ts(one), _ts(other)
    for a, b in zip(left.tracks, right.tracks, strict=True):
        if a.is_video and [pes.pts for pes in a.pes] != [pes.pts for pes in b.pes]:
            yield Finding("R11", other.url, f"pictures at other times than in {one.url}")
        same_span = (a.pes[0].pts, len(a.pes)) == (b.pes[0].pts, len(b.pes))
        if not a.is_video and same_span and a.digest != b.digest:
            yield Finding("R11", other.url, f"sound is not bit-identical to {one.url}")
    codecs = {sps.codec for sps in (*left.sps, *right.sps)}
    if len(codecs) > 1:
        yield Finding("R11", other.url, f"profiles or levels differ: {', '.join(sorted(codecs))}")
