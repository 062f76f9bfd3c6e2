"""A playlist that was rendered and parsed again is equal to itself (surgecast.hls.model)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from surgecast.hls.delta import merge
from surgecast.hls.model import (
    ContentSteering,
    MediaPlaylist,
    MediaSegment,
    MultivariantPlaylist,
    OpenSegment,
    Part,
    PreloadHint,
    RenditionReport,
    ServerControl,
    Start,
    Variant,
)
from surgecast.hls.parse import parse
from surgecast.hls.render import render_media, render_multivariant

T = TypeVar("T")
URI_CHARACTERS = "abcXYZ019-._~:/?[]@!$&()*+;=%,"
uris = st.text(URI_CHARACTERS, min_size=1, max_size=30)
moments = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
durations = st.integers(0, 60_00000).map(lambda count: count / 100_000)
parts = st.builds(
    Part, uri=uris, duration_s=durations, independent=st.booleans(), gap=st.booleans()
)
counts = st.integers(0, 2**40)
server_controls = st.builds(
    ServerControl,
    can_block_reload=st.just(True),  # without any attribute there is nothing to write
    hold_back_s=st.none() | durations,
    part_hold_back_s=st.none() | durations,
    can_skip_until_s=st.none() | durations,
)
starts = st.builds(
    Start, time_offset_s=durations | durations.map(lambda offset: -offset), precise=st.booleans()
)
hints = st.builds(PreloadHint, uri=uris, kind=st.sampled_from(("PART", "MAP")))
reports = st.builds(
    RenditionReport, uri=uris, last_msn=st.none() | counts, last_part=st.none() | counts
)


def few(values: st.SearchStrategy[T], least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(values, min_size=least, max_size=3).map(tuple)


@st.composite
def segments(draw: st.DrawFn, map_uris: st.SearchStrategy[str | None]) -> MediaSegment:
    return MediaSegment(
        uri=draw(uris),
        duration_s=draw(durations),
        program_date_time=draw(st.none() | moments),
        discontinuity=draw(st.booleans()),
        gap=draw(st.booleans()),
        map_uri=draw(map_uris),
        parts=draw(few(parts)),
    )


def open_segments(map_uris: st.SearchStrategy[str | None]) -> st.SearchStrategy[OpenSegment]:
    return st.builds(
        OpenSegment,
        parts=few(parts, least=1),
        program_date_time=st.none() | moments,
        discontinuity=st.booleans(),
        map_uri=map_uris,
    )


@st.composite
def media_playlists(draw: st.DrawFn) -> MediaPlaylist:
    # EXT-X-MAP applies to all segments that follow, so either all of them have one or none.
    map_uris = draw(st.sampled_from((st.none(), uris)))
    return MediaPlaylist(
        target_duration_s=draw(st.integers(1, 60)),
        media_sequence=draw(st.integers(0, 2**53)),
        discontinuity_sequence=draw(st.integers(0, 2**31)),
        segments=tuple(draw(st.lists(segments(map_uris), max_size=8))),
        version=draw(st.integers(1, 12)),
        independent_segments=draw(st.booleans()),
        ended=draw(st.booleans()),
        playlist_type=draw(st.sampled_from([None, "EVENT", "VOD"])),
        start=draw(st.none() | starts),
        server_control=draw(st.none() | server_controls),
        part_target_s=draw(st.none() | durations),
        skipped_segments=draw(st.integers(0, 20)),
        open_segment=draw(st.none() | open_segments(map_uris)),
        preload_hints=draw(few(hints)),
        rendition_reports=draw(few(reports)),
    )


names = st.none() | st.text("abcXYZ019._-", min_size=1, max_size=8)
sizes = st.none() | st.tuples(st.integers(2, 8192), st.integers(2, 8192))


@st.composite
def variants(draw: st.DrawFn) -> Variant:
    width, height = draw(sizes) or (None, None)
    return Variant(
        uri=draw(uris),
        peak_bps=draw(st.integers(1, 10**9)),
        average_bps=draw(st.none() | st.integers(1, 10**9)),
        codecs=draw(st.none() | st.sampled_from(("avc1.4d401f", "avc1.4d401f,mp4a.40.2"))),
        width=width,
        height=height,
        frame_rate=draw(st.none() | st.integers(1, 240_000).map(lambda rate: rate / 1000)),
        pathway_id=draw(names),
        stable_id=draw(names),
    )


multivariant_playlists = st.builds(
    MultivariantPlaylist,
    variants=st.lists(variants(), min_size=1, max_size=6).map(tuple),
    version=st.integers(1, 12),
    independent_segments=st.booleans(),
    steering=st.none() | st.builds(ContentSteering, server_uri=uris, pathway_id=names),
)


@given(media_playlists())
def test_a_media_playlist_survives(playlist: MediaPlaylist) -> None:
    assert parse(render_media(playlist)) == playlist


@given(media_playlists(), st.data())
def test_a_delta_update_says_the_same(playlist: MediaPlaylist, data: st.DataObject) -> None:
    """R47: with the skipped segments taken from what was known, nothing is missing or changed."""
    whole = replace(playlist, skipped_segments=0)
    skipped = data.draw(st.integers(0, len(whole.segments)))
    plain = tuple(replace(segment, parts=()) for segment in whole.segments[:skipped])
    whole = replace(whole, segments=plain + whole.segments[skipped:])
    before = replace(whole, segments=whole.segments[: max(skipped, 1)], open_segment=None)
    update = replace(whole, segments=whole.segments[skipped:], skipped_segments=skipped)
    assert merge(before, parse(render_media(update))) == whole


@given(multivariant_playlists)
def test_a_multivariant_playlist_survives(playlist: MultivariantPlaylist) -> None:
    assert parse(render_multivariant(playlist)) == playlist
