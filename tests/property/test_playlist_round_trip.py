"""A playlist that was rendered and parsed again is equal to itself (surgecast.hls.model)."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from surgecast.hls.model import MediaPlaylist, MediaSegment, MultivariantPlaylist, Variant
from surgecast.hls.parse import parse
from surgecast.hls.render import render_media, render_multivariant

URI_CHARACTERS = "abcXYZ019-._~:/?[]@!$&()*+;=%,"
uris = st.text(URI_CHARACTERS, min_size=1, max_size=30)
moments = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
durations = st.integers(0, 60_00000).map(lambda count: count / 100_000)


@st.composite
def segments(draw: st.DrawFn, map_uris: st.SearchStrategy[str | None]) -> MediaSegment:
    return MediaSegment(
        uri=draw(uris),
        duration_s=draw(durations),
        program_date_time=draw(st.none() | moments),
        discontinuity=draw(st.booleans()),
        gap=draw(st.booleans()),
        map_uri=draw(map_uris),
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
    )


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
    )


multivariant_playlists = st.builds(
    MultivariantPlaylist,
    variants=st.lists(variants(), min_size=1, max_size=6).map(tuple),
    version=st.integers(1, 12),
    independent_segments=st.booleans(),
)


@given(media_playlists())
def test_a_media_playlist_survives(playlist: MediaPlaylist) -> None:
    assert parse(render_media(playlist)) == playlist


@given(multivariant_playlists)
def test_a_multivariant_playlist_survives(playlist: MultivariantPlaylist) -> None:
    assert parse(render_multivariant(playlist)) == playlist
