"""What is not a usable playlist is refused, with a text that says what was found."""

import pytest

from surgecast.errors import RemoteError
from surgecast.hls.delta import merge
from surgecast.hls.model import MediaPlaylist
from surgecast.hls.parse import parse, parse_media, parse_multivariant

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
VARIANTS = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100000\nlow/media.m3u8\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (" \n \n", "empty"),
        ("<!DOCTYPE html>\n<html><body>Not found</body></html>", "web page"),
        ("<html>", "web page"),
        ("not a playlist", "expected #EXTM3U, found 'not a playlist'"),
        ("#EXTM3U8\n", "expected #EXTM3U"),
        ("#EXTM3U\n", "no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXTINF:2,\na.ts\n", "no EXT-X-TARGETDURATION"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:soon\n", "not a valid playlist"),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:0\n", "EXT-X-TARGETDURATION"),
        (HEAD + "#EXTINF:-2.0,\na.ts\n", "segment a.ts: EXTINF"),
        (HEAD + "#EXTINF:nan,\na.ts\n", "segment a.ts: EXTINF"),
        (HEAD + "#EXTINF:inf,\na.ts\n", "segment a.ts: EXTINF"),
        (HEAD + "#EXTINF:two,\na.ts\n", "not a valid playlist"),
        (HEAD + "#EXTINF:2.0,\n", "cut off"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:-1\n", "EXT-X-MEDIA-SEQUENCE"),
        (HEAD + "#EXT-X-MEDIA-SEQUENCE:first\n", "not a valid playlist"),
        (HEAD + "#EXT-X-DISCONTINUITY-SEQUENCE:-4\n", "EXT-X-DISCONTINUITY-SEQUENCE"),
        (HEAD + "#EXT-X-PROGRAM-DATE-TIME:today\n#EXTINF:2,\na.ts\n", "not a valid playlist"),
        (HEAD + "#EXT-X-START:TIME-OFFSET=nan\n", "EXT-X-START"),
        (HEAD + "#EXT-X-SERVER-CONTROL:HOLD-BACK=-1\n", "HOLD-BACK"),
        (HEAD + "#EXT-X-SERVER-CONTROL:HOLD-BACK=long\n", "not a valid playlist"),
        (HEAD + "#EXT-X-PART-INF:PART-TARGET=inf\n", "PART-TARGET"),
        (HEAD + "#EXT-X-SKIP:SKIPPED-SEGMENTS=-2\n", "SKIPPED-SEGMENTS"),
        (HEAD + '#EXT-X-PART:URI="a"\n', "expected URI and DURATION"),
        (HEAD + "#EXT-X-PART:DURATION=1\n", "expected URI and DURATION"),
        (HEAD + '#EXT-X-PART:URI="a",DURATION=-1\n', "part a: DURATION"),
        (HEAD + "#EXT-X-PRELOAD-HINT:TYPE=PART\n", "EXT-X-PRELOAD-HINT: no URI"),
        (HEAD + "#EXT-X-RENDITION-REPORT:LAST-MSN=1\n", "EXT-X-RENDITION-REPORT: no URI"),
        (HEAD + '#EXT-X-RENDITION-REPORT:URI="a",LAST-MSN=-1\n', "LAST-MSN"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", "no variant has a URI"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"x\"\na.m3u8\n", "no BANDWIDTH"),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=big\na.m3u8\n", "RESOLUTION"),
    ],
)  # fmt: skip
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_says_which_kind_was_expected() -> None:
    with pytest.raises(RemoteError, match="expected a media playlist"):
        parse_media(VARIANTS)
    with pytest.raises(RemoteError, match="expected a multivariant playlist"):
        parse_multivariant(HEAD)


def test_ignores_what_it_does_not_know() -> None:
    playlist = parse(HEAD + "#EXT-X-FROM-TOMORROW:A=1\n# a comment\n#EXTINF:1.5,title\na.ts\n")
    assert isinstance(playlist, MediaPlaylist)
    assert [segment.uri for segment in playlist.segments] == ["a.ts"]


def test_dates_are_in_utc_whatever_zone_they_came_in() -> None:
    date = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:00.000{}\n#EXTINF:1.5,\na.ts\n"
    zulu, east, bare = (parse_media(HEAD + date.format(z)) for z in ("Z", "+02:00", ""))
    moments = [p.segments[0].program_date_time for p in (zulu, east, bare)]
    assert [moment.isoformat() for moment in moments if moment] == [
        "2026-01-01T12:00:00+00:00",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T12:00:00+00:00",
    ]


LOW_LATENCY = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-MAP:URI="init.mp4"
#EXTINF:4.00008,
266.mp4
#EXT-X-GAP
#EXT-X-PART:DURATION=0.33334,URI="267.0.mp4",INDEPENDENT=YES
#EXTINF:4.00008,
267.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="other.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T12:00:00.000Z
#EXT-X-PART:DURATION=0.33334,URI="268.0.mp4"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="268.1.mp4"
#EXT-X-PRELOAD-HINT:TYPE=TOMORROW,URI="x"
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="third.mp4"
#EXT-X-RENDITION-REPORT:URI="../1M/a.m3u8",LAST-MSN=268,LAST-PART=0
"""


def test_the_open_segment_has_its_own_tags() -> None:
    """The library forgets them, and all hints but the last."""
    playlist = parse_media(LOW_LATENCY)
    assert playlist.open_segment is not None and playlist.next_msn == 268
    assert playlist.open_segment.discontinuity
    assert playlist.open_segment.map_uri == "other.mp4"
    assert playlist.open_segment.program_date_time is not None
    assert [segment.map_uri for segment in playlist.segments] == ["init.mp4", "init.mp4"]
    assert [segment.discontinuity for segment in playlist.segments] == [False, False]
    assert [segment.gap for segment in playlist.segments] == [False, True]
    assert [(hint.kind, hint.uri) for hint in playlist.preload_hints] == [
        ("PART", "268.1.mp4"),
        ("MAP", "third.mp4"),
    ]


def test_a_delta_update_needs_what_it_skips() -> None:
    known = parse_media(LOW_LATENCY)
    for first, skipped in ((265, 2), (267, 2)):
        update = parse_media(
            f"{HEAD}#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n"
        )
        with pytest.raises(RemoteError, match="known are 266 to 267"):
            merge(known, update)
